# Everything runs inside .venv, which the first target that needs it builds from the pinned requirement files.
PYTHON ?= python3
PY := .venv/bin/python
MODEL ?= all

# PyTorch has no packages for other systems; checked before anything is installed.
define CHECK_SYSTEM
import platform, sys
system, machine, version = platform.system(), platform.machine().lower(), ".".join(map(str, sys.version_info[:2]))
can = {
    "Linux": machine in ("x86_64", "aarch64") and platform.libc_ver()[0] == "glibc",
    "Darwin": machine == "arm64" and int((platform.mac_ver()[0] or "0").split(".")[0]) >= 14,
}
if not (3, 11) <= sys.version_info[:2] <= (3, 14):
    sys.exit(f"Python 3.11 to 3.14 is needed, not {version}; name it, as in: make TARGET PYTHON=python3.12")
if system == "Windows":
    sys.exit("make does not work on Windows: use the commands of README.md.")
if not can.get(system):
    sys.exit(f"PyTorch cannot be installed on {system} {platform.mac_ver()[0]} {machine}: it needs Linux with glibc (x86-64 or "
             "arm64), Windows, or macOS 14 or newer on Apple silicon. Use Colab instead, see README.md.")
endef
export CHECK_SYSTEM

.DEFAULT_GOAL := help
.PHONY: help run check style test lab data pins train-data train evaluate notebook figures sample starter autograder report card bench clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "%-14s%s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: .venv/ready data ## execute the notebook: build/proj2.html and build/iou.csv
	@$(PY) -m staff.run_notebook

check: style ## style, imports, types and the fast tests
	@$(PY) -m pytest -q -m "not slow" -n auto --maxprocesses 4 --dist loadfile proj2_unit_tests staff/tests

style: .venv/staff-ready ## ruff, the rules for imports, types
	@$(PY) -m ruff check
	@$(PY) -m ruff format --check
	@.venv/bin/lint-imports
	@$(PY) -m mypy

test: .venv/staff-ready ## every test, the slow ones too
	@$(PY) -m pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder proj2_unit_tests staff/tests

lab: .venv/ready data ## open the notebook in JupyterLab
	@$(PY) -m jupyterlab proj2.ipynb

data: .venv/ready ## the handout's three CamVid frames (without them everything runs on rendered scenes)
	@$(PY) data/get_camvid.py || echo "Going on with the rendered scenes in data/sample."

train-data: .venv/staff-ready ## all that training needs: CamVid, LabelMeFacade, the networks' starts
	@$(PY) data/get_camvid.py --all
	@$(PY) -m staff.training.labelmefacade
	@$(PY) -m staff.training.starts

train: .venv/staff-ready ## the whole recipe; MODEL=fpn_vgg19, fpn_resnet50 or pspnet_resnet50 for one
	@$(PY) -m staff.training.train $(MODEL)

evaluate: .venv/staff-ready ## score the models on the test frames
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

pins: .venv/staff-ready ## check that requirements.txt can be installed on every system and Python; needs the network
	@$(PY) -m staff.check_pins

clean: ## remove build/ and dist/
	@rm -rf build dist

# uv installs faster than pip; where it cannot be had, or does not know pip's own settings, pip does it.
INSTALL = (test -x .venv/bin/uv && .venv/bin/uv pip install --python $(PY) $(1)) || $(PY) -m pip install $(1)

.venv/ready: requirements.txt
	@"$(PYTHON)" -c "$$CHECK_SYSTEM"
	@echo "Installing into .venv: about 6 GB with PyTorch, some minutes the first time."
	@$(PY) -m pip --version >/dev/null 2>&1 || "$(PYTHON)" -m venv .venv
	@test -x .venv/bin/uv || $(PY) -m pip install -q uv || true
	@$(call INSTALL,-r requirements.txt)
	@touch $@

.venv/staff-ready: .venv/ready staff/requirements.txt
	@$(call INSTALL,-q -r staff/requirements.txt)
	@touch $@
