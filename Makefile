# `make repro` and `make test` set up everything they need in .venv. Needs Python 3.11 or newer, Git and make.
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

setup: $(INSTALLED) ## make .venv with the pinned packages (the other targets do it by themselves)

$(INSTALLED): requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo 'error: no Python 3.11 or newer found; name one: make PYTHON=/path/to/python3'; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@if test "$$(uname)" = Linux && ! ls /dev/nvidia[0-9]* /dev/dxg > /dev/null 2>&1 && ! command -v nvidia-smi > /dev/null \
		&& ! ls -d $(VENV)/lib/python*/site-packages/torch > /dev/null 2>&1; then \
		echo 'no NVIDIA GPU here, and torch brings CUDA, some gigabytes; to do without, press Ctrl-C, and then:'; \
		echo "  $(VENV)/bin/pip install $(TORCH) --index-url https://download.pytorch.org/whl/cpu && make setup"; fi
	$(VENV)/bin/python -m pip install --progress-bar on --disable-pip-version-check -r requirements.lock
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --editable . # the command sentiment
	@touch $@

repository:
	@git rev-parse || { echo 'DVC needs a Git repository; in an unpacked archive: git init && git add -A && git commit -m Start'; exit 1; }

repro: repository $(INSTALLED) ## run the pipeline, or what changed of it, and show the test metrics beside the last commit's
	dvc repro
	dvc metrics diff --all --targets metrics/test.json

test: $(INSTALLED) ## run the tests
	python -m pytest -n auto --dist worksteal

test-all: $(INSTALLED) ## run the slow tests too: kills, faults and fuzzing in numbers
	python -m pytest -m ''

extras: $(INSTALLED) ## add every extra, and what the tests need besides: servers and a driver for Chromium
	python -m pip install --quiet --disable-pip-version-check -r requirements.lock -r extras.lock

# One extra of pyproject.toml at the versions of the locks; a target that needs it names it.
$(VENV)/extra-%: $(INSTALLED) extras.lock pyproject.toml
	python -m pip install --quiet --disable-pip-version-check -c requirements.lock -c extras.lock -e '.[$*]'
	@touch $@

lint: $(INSTALLED) ## check style and types
	ruff check .
	ruff format --check .
	mypy
	zizmor --offline --quiet .github/workflows

report: $(INSTALLED) ## write metrics/report.html: the run on one page that needs no network
	sentiment report

share: $(INSTALLED) ## push every run that is in DVC's cache, so that no colleague trains it again
	sentiment share

verify: $(INSTALLED) ## check every file in DVC's cache against its hash
	sentiment verify

imdb: $(INSTALLED) ## run IMDb with DistilBERT as an experiment (downloads both; wants a GPU)
	dvc exp run -S dataset=imdb -S model=distilbert/distilbert-base-uncased-finetuned-sst-2-english -S lr=2e-5 -S epochs=1

bench: $(INSTALLED) ## measure training and scoring beside the usual recipes (10 to 14 minutes on two cores)
	sentiment bench

demo: $(VENV)/extra-demo ## try the model in the browser: a review, its label, and the words that speak for it
	sentiment demo

serve: $(VENV)/extra-serve ## answer other programs over HTTP, as the Hugging Face inference API does
	sentiment serve

clean: ## remove .venv; data, models and metrics stay
	rm -rf $(VENV)
