# cadnode: `make help` lists what there is. Each target does first what it needs.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# One more than the cores of a small machine: a test often waits, for a node, an archive, a browser.
TESTS_AT_ONCE ?= 3
# Where it is set, as in many containers, each of some hundred processes would compile cadnode again.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup system demo pythons bundle quickstarts site test soak fuzz bench lint format clean

help: ## Show this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-9s %s\n", $$1, $$2}'

setup: $(VENV)/.ready ## Make .venv with cadnode and everything its tests and demo need

$(VENV)/.ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3,11) <= sys.version_info[:2] <= (3,13))' || \
	  { echo "cadnode needs Python 3.11, 3.12 or 3.13; $(PYTHON) is $$($(PYTHON) -V). Try: make PYTHON=python3.11 setup"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing (about 6 GB with torch's CUDA libraries; two minutes on a fast line) …"
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --no-compile --editable '.[dev]' --constraint constraints.txt
	@# pip compiles its 19,000 files on one core. Templates that are no Python are passed over.
	@$(BIN)/python -m compileall -q -j 0 $(VENV)/lib >/dev/null 2>&1 || true
	@deploy/page-viewer.sh || true
	@touch $@

system: ## Install the system packages that tests and demo use (says what to do without root)
	@deploy/system-packages.sh all

demo: setup ## Send a real exam to a running node; ends with scores, DICOM objects and out/demo/index.html
	@deploy/system-packages.sh demo || true
	$(BIN)/cadnode demo --out out/demo

pythons: ## Try the wheel on Python 3.11, 3.12 and 3.13, from install to a trained model (6 GB each, long)
	@deploy/try-pythons.sh

bundle: ## One folder to install from without a network (3.3 GB): make bundle BUNDLE="--debs /mnt/usb/cadnode"
	@deploy/bundle.sh $(BUNDLE)

quickstarts: setup ## Follow each quick start to the letter in a fresh folder (20 minutes)
	@deploy/try-quickstarts.sh

site: ## Build the documents as a site: build/site/html/index.html (needs the package index once)
	@test -x build/site/venv/bin/mkdocs || { $(PYTHON) -m venv build/site/venv && \
	  build/site/venv/bin/python -m pip install --quiet -r deploy/site/requirements.txt; }
	@rm -rf build/site/source build/site/html && $(PYTHON) deploy/site/stage.py build/site
	@NO_MKDOCS_2_WARNING=1 build/site/venv/bin/mkdocs build --quiet --strict --config-file build/site/mkdocs.yml
	@echo "build/site/html/index.html"

test: setup lint ## Everything: import contracts, ruff, mypy, unit and integration tests with real peers
	@deploy/system-packages.sh test
	$(BIN)/python -m pytest -q --numprocesses $(TESTS_AT_ONCE) --dist loadfile --no-loadscope-reorder

soak: setup ## Studies under faults for as long as it takes: make soak SOAK="--studies 1000 --seed 1"
	$(BIN)/python -m tests.faults.soak $(SOAK)

fuzz: setup ## Seeded mutations of everything that takes bytes: make fuzz FUZZ="--inputs 100000 --seed 1"
	$(BIN)/python -m tests.fuzz $(FUZZ)

bench: setup ## Goals and results, in 15 minutes on two idle cores: make bench BENCH="--rows exam,memory"
	$(BIN)/python -m benchmarks.bench $(or $(BENCH),--out benchmarks/RESULTS.md)

lint: setup ## Import contracts, ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@mkdir -p $(VENV)/names && ln -sfn ../../training $(VENV)/names/cadnode_training
	@$(BIN)/lint-imports --no-cache & contracts=$$!; $(BIN)/mypy; types=$$?; wait $$contracts && exit $$types

format: setup ## Let ruff format and mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## Remove what was built, not what you made: .venv, caches, out/
	rm -rf $(VENV) out build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
