# Everything runs inside .venv, which the first target that needs it builds from the pinned requirement files.
PYTHON ?= python3
PY := .venv/bin/python
MODEL ?= all

.DEFAULT_GOAL := help
.PHONY: help run test lab data lint train-data train evaluate notebook figures sample starter autograder report card bench clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

run: .venv/ready data ## execute the notebook: build/proj2.html and build/iou.csv
	@$(PY) staff/run_notebook.py

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
	@$(PY) staff/training/get_labelmefacade.py

train: .venv/staff-ready ## the whole recipe; MODEL=fpn_vgg19, fpn_resnet50 or pspnet_resnet50 for one
	@$(PY) staff/training/train.py $(MODEL)

evaluate: .venv/staff-ready ## score the models on a CamVid-format folder
	@$(PY) staff/training/evaluate.py

notebook: .venv/ready data ## refresh the outputs stored in proj2.ipynb
	@$(PY) staff/run_notebook.py --in-place

figures: .venv/ready ## draw the notebook's diagrams
	@$(PY) staff/figures/draw_figures.py

sample: .venv/ready ## render the three street scenes of data/sample
	@$(PY) data/render_street.py

starter: .venv/staff-ready ## dist/proj2_starter.zip, what students receive
	@$(PY) staff/kit/make_starter.py

autograder: .venv/staff-ready ## dist/autograder.zip, what Gradescope runs
	@$(PY) staff/kit/make_autograder.py

report: .venv/staff-ready ## proj2_template.pptx and the filled reference in dist/
	@$(PY) staff/kit/make_report.py

card: .venv/staff-ready ## measure the models, write their card and the README's scores and picture
	@$(PY) staff/training/model_card.py
	@$(PY) staff/figures/draw_street.py

bench: .venv/staff-ready ## the measured speeds of the README
	@$(PY) staff/benchmarks/bench.py

clean: ## remove what the targets above have made; downloads and weights stay
	@rm -rf build dist

.venv/ready: requirements.txt
	@"$(PYTHON)" -c 'import sys; sys.exit("Python 3.11 or newer is needed; name it, as in: make run PYTHON=python3.12" if sys.version_info < (3, 11) else 0)'
	@echo "Installing into .venv: about 6 GB with PyTorch, some minutes the first time."
	@test -x $(PY) || "$(PYTHON)" -m venv .venv
	@$(PY) -m pip install -r requirements.txt
	@touch $@

.venv/staff-ready: .venv/ready staff/tests/requirements.txt staff/training/requirements.txt staff/kit/requirements.txt
	@$(PY) -m pip install -q -r staff/tests/requirements.txt
	@touch $@
