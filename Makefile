# Everything runs inside .venv, which the first target that needs it builds from the pinned requirement files.
PYTHON ?= python3
PY := .venv/bin/python
MODEL ?= all

.DEFAULT_GOAL := help
.PHONY: help run test lab data lint train-data train evaluate notebook figures sample starter autograder report card bench clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

run: .venv/ready data ## execute the notebook: build/proj2.html and build/iou.csv
	@$(PY) -m staff.run_notebook

test: .venv/staff-ready ## proj2_unit_tests and staff/tests
	@$(PY) -m pytest proj2_unit_tests staff/tests

lab: .venv/ready data ## open the notebook in JupyterLab
	@$(PY) -m jupyterlab proj2.ipynb

data: .venv/ready ## the handout's three CamVid frames (without them everything runs on rendered scenes)
	@$(PY) data/get_camvid.py || echo "Going on with the rendered scenes in data/sample."

lint: .venv/staff-ready ## ruff check and ruff format --check
	@$(PY) -m ruff check
	@$(PY) -m ruff format --check

train-data: .venv/ready ## all of CamVid and the LabelMeFacade photographs
	@$(PY) data/get_camvid.py --all
	@$(PY) -m staff.training.labelmefacade

train: .venv/staff-ready ## the whole recipe; MODEL=fpn_vgg19, fpn_resnet50 or pspnet_resnet50 for one
	@$(PY) -m staff.training.train $(MODEL)

evaluate: .venv/staff-ready ## score the models on a CamVid-format folder
	@$(PY) -m staff.evaluate

notebook: .venv/ready data ## refresh the outputs stored in proj2.ipynb
	@$(PY) -m staff.run_notebook --in-place

figures: .venv/ready ## draw the notebook's diagrams
	@$(PY) -m staff.figures.draw_figures

sample: .venv/ready ## render the three street scenes of data/sample
	@$(PY) -m data.render_street

starter: .venv/staff-ready ## dist/proj2_starter.zip, what students receive; COLAB=github.com/owner/repository to open it in Colab
	@$(PY) -m staff.kit.make_starter --colab "$(COLAB)"

autograder: .venv/staff-ready ## dist/autograder.zip, what Gradescope runs
	@$(PY) -m staff.kit.make_autograder

report: .venv/staff-ready ## proj2_template.pptx and the filled reference in dist/
	@$(PY) -m staff.kit.make_report

card: .venv/staff-ready ## measure the models, write their card and the README's scores and picture
	@$(PY) -m staff.training.model_card
	@$(PY) -m staff.figures.draw_street

bench: .venv/staff-ready ## the measured speeds of the README
	@$(PY) -m staff.benchmarks

clean: ## remove what the targets above have made; downloads and weights stay
	@rm -rf build dist

.venv/ready: requirements.txt
	@"$(PYTHON)" -c 'import sys; sys.exit("Python 3.11 or newer is needed; name it, as in: make run PYTHON=python3.12" if sys.version_info < (3, 11) else 0)'
	@echo "Installing into .venv: about 6 GB with PyTorch, some minutes the first time."
	@test -x $(PY) || "$(PYTHON)" -m venv .venv
	@$(PY) -m pip install -r requirements.txt
	@touch $@

.venv/staff-ready: .venv/ready staff/requirements.txt
	@$(PY) -m pip install -q -r staff/requirements.txt
	@touch $@
