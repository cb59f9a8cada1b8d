# Two commands do all: `make` builds every figure, table and the report; `make test` runs the tests.
.DEFAULT_GOAL := all
.SHELLFLAGS := -eu -c
SHELL := /bin/bash

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
CORES ?= all
SNAKEMAKE := $(BIN)/snakemake --cores $(CORES)
# One line of progress; Snakemake's own pages go to logs/make.log.
FOLLOW := $(BIN)/python workflow/follow.py
# What `make publish` takes; COMMAND: how it was made, where that was not the usual way.
RUN ?= default
# Two processes for the tests: who has none left takes from the other, whose longest come first.
TOGETHER := -n 2 --dist worksteal
# CPU=1: torch without CUDA, for a new environment (envs/install.sh).
export CPU CPU_INDEX

# Snakemake keeps a cache in the home directory, and cannot do without.
CACHE := $${XDG_CACHE_HOME:-$$HOME/.cache}/snakemake
ifeq ($(shell mkdir -p "$(CACHE)" 2>/dev/null && test -w "$(CACHE)" && echo yes),)
export XDG_CACHE_HOME := $(CURDIR)/.snakemake/cache
endif

.PHONY: all test test-pythons test-cluster test-faults bench docs pages publish lint format lock clean help

all: $(STAMP)  ## every figure, table and the report, on all cores (CORES=N for fewer)
	@$(FOLLOW) $(SNAKEMAKE)
	@if [ ! -f report.html ] || [ -n "$$(find results figures workflow/report -newer report.html -type f -print -quit)" ]; then \
	  $(FOLLOW) --saying "writing report.html" $(SNAKEMAKE) --report report.html; fi

test: $(STAMP)  ## all tests that need nothing but Python
	@$(BIN)/python -m pytest $(TOGETHER) -q

test-pythons:  ## the tests on every Python from 3.11 to 3.14 that is found here
	@envs/pythons.sh

test-faults: $(STAMP)  ## runs killed, disks full, files damaged: minutes
	@$(BIN)/python -m pytest tests/faults $(TOGETHER) -q

test-cluster: $(STAMP)  ## the pipeline on a Slurm cluster of its own (root installs Slurm with apt-get)
	@$(BIN)/python -m pytest tests/cluster -q

bench: $(STAMP)  ## speed of every estimator against REINFORCE, its arithmetic floor and plain PyTorch
	@$(BIN)/python benchmarks/bench.py
	@$(BIN)/python benchmarks/several.py
	@$(BIN)/python benchmarks/structure_seeds.py
	@$(BIN)/python benchmarks/control.py

docs: $(STAMP)  ## the documentation as a site in site/; a warning is an error
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	@echo "site/index.html is built; to search it: $(BIN)/python -m http.server -d site"

pages: $(STAMP)  ## fill the tables of README.md and docs/ from docs/tables
	@$(BIN)/python docs/pages.py

publish: $(STAMP)  ## take the finished run's tables and pictures into docs/, and fill the pages
	@$(BIN)/python docs/pages.py publish $(RUN) $(if $(COMMAND),--command "$(COMMAND)")

lint: $(STAMP)  ## ruff, mypy, snakefmt and snakemake --lint
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/snakefmt --check Snakefile workflow
	@$(BIN)/snakemake --lint

format: $(STAMP)  ## rewrite the code in the project's format
	@$(BIN)/ruff check --fix . && $(BIN)/ruff format . && $(BIN)/snakefmt Snakefile workflow

clean:  ## remove everything built, but not the environment or what was downloaded
	@rm -rf results/* figures/* report.html site .snakemake && git checkout -q -- results figures

help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*##  *\(.*\)/\1: \2/p' Makefile

# The environment: the pinned lock, then the project itself. On failure nothing half-made is left.
$(STAMP): envs/requirements.lock envs/requirements.hashes pyproject.toml envs/install.sh
	@envs/install.sh $(VENV)
	@touch $@

lock:  ## resolve envs/requirements.in anew and pin the result
	@envs/lock.sh
