# `make repro` and `make test` install everything they need in .venv. Requires Python 3.11 or newer, Git and make.
.DEFAULT_GOAL := help
.PHONY: help setup repository repro test test-all extras lint report share verify imdb bench demo serve clean

VENV := .venv
PYTHON ?= $(firstword $(foreach name,python3 python3.14 python3.13 python3.12 python3.11,$(shell \
	$(name) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $(name))))
INSTALLED := $(VENV)/installed
TORCH = $(shell grep '^torch==' requirements.lock)
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sort | awk -F ':.*## ' '{printf "make %-9s %s\n", $$1, $$2}'

setup: $(INSTALLED) ## create .venv with the pinned packages (other targets do this themselves)

$(INSTALLED): requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo 'error: no Python 3.11 or newer found; name one: make PYTHON=/path/to/python3'; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@if test "$$(uname)" = Linux && ! ls /dev/nvidia[0-9]* /dev/dxg > /dev/null 2>&1 && ! command -v nvidia-smi > /dev/null \
		&& ! ls -d $(VENV)/lib/python*/site-packages/torch > /dev/null 2>&1; then \
		echo 'no NVIDIA GPU found, but torch includes CUDA (several GB); for the CPU build, press Ctrl-C, then run:'; \
		echo "  $(VENV)/bin/pip install $(TORCH) --index-url https://download.pytorch.org/whl/cpu && make setup"; fi
	$(VENV)/bin/python -m pip install --progress-bar on --disable-pip-version-check -r requirements.lock
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --editable . # the command sentiment
	@touch $@

repository:
	@git rev-parse || { echo 'DVC needs a Git repository; in an unpacked archive: git init && git add -A && git commit -m Start'; exit 1; }

repro: repository $(INSTALLED) ## run the stages that changed, and compare the test metrics with the last commit
	dvc repro
	dvc metrics diff --all --targets metrics/test.json

test: $(INSTALLED) ## run the tests
	python -m pytest -n auto --dist worksteal

test-all: $(INSTALLED) ## run all tests, including the slow ones: kills, faults, more fuzzing
	python -m pytest -m ''

extras: $(INSTALLED) ## install every extra and the test dependencies: servers and a driver for Chromium
	python -m pip install --quiet --disable-pip-version-check -r requirements.lock -r extras.lock

# Installs one extra of pyproject.toml at the locked versions, for the targets that depend on it.
$(VENV)/extra-%: $(INSTALLED) extras.lock pyproject.toml
	python -m pip install --quiet --disable-pip-version-check -c requirements.lock -c extras.lock -e '.[$*]'
	@touch $@

lint: $(INSTALLED) ## check style and types
	ruff check .
	ruff format --check .
	mypy
	zizmor --offline --quiet .github/workflows

report: $(INSTALLED) ## write metrics/report.html: the run on one self-contained page
	sentiment report

share: $(INSTALLED) ## push every run in DVC's cache, so that colleagues need not repeat it
	sentiment share

verify: $(INSTALLED) ## check every file in DVC's cache against its hash
	sentiment verify

imdb: $(INSTALLED) ## run IMDb with DistilBERT as an experiment (downloads both; use a GPU)
	dvc exp run -S dataset=imdb -S model=distilbert/distilbert-base-uncased-finetuned-sst-2-english -S lr=2e-5 -S epochs=1

bench: $(INSTALLED) ## benchmark training and scoring against common recipes (10 to 14 minutes on two cores)
	sentiment bench

demo: $(VENV)/extra-demo ## try the model in the browser: label a review and see which words support it
	sentiment demo

serve: $(VENV)/extra-serve ## serve the model over HTTP, like the Hugging Face inference API
	sentiment serve

clean: ## remove .venv, but keep data, models and metrics
	rm -rf $(VENV)
