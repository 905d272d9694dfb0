# `make demo` and `make test` set up everything they need on a fresh machine with Python 3.11 or newer.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test test-slow test-trainers test-architectures lint types check bench clean help

help:  ## Show this list.
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

demo: $(READY)  ## See a real model being backdoored, and the same rows defended (8 minutes on 2 quiet CPU cores).
	$(BIN)/antivenom demo

# Two workers of one thread each: threads that wait for each other's core take longer than no threads.
test: $(READY)  ## Run the tests (offline, tiny models).
	HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 $(BIN)/pytest -q -n 2

test-slow: $(READY)  ## Run the tests that need the real model or minutes of work.
	$(BIN)/pip install --quiet --constraint constraints.txt trl --editable ".[ray]"
	HF_HUB_OFFLINE=1 $(BIN)/pytest -q -rs -m slow
	HF_HUB_OFFLINE=1 $(BIN)/pytest -q fuzz

# Axolotl and LLaMA-Factory ask for other versions of what we use: only their readers of rows are tried, in a folder apart.
TRAINERS := $(VENV)/trainers
test-trainers: $(READY)  ## Run the tests of trainers of others: TRL, and how Axolotl and LLaMA-Factory read rows.
	$(BIN)/pip install --quiet --constraint constraints.txt trl
	$(BIN)/pip install --quiet --no-deps --target $(TRAINERS) axolotl==0.19.0 llamafactory==0.9.5 \
	  addict colorama fire termcolor omegaconf antlr4-python3-runtime==4.9.3 einops av
	mkdir -p $(TRAINERS)/torchaudio && touch $(TRAINERS)/torchaudio/__init__.py
	HF_HUB_OFFLINE=1 DISABLE_VERSION_CHECK=1 PYTHONPATH=$(TRAINERS) \
	  $(BIN)/pytest -q -rs -m slow tests/integration/test_trainers.py

test-architectures: $(READY)  ## Run the tests of other architectures; ANTIVENOM_TOKENIZERS names the tokenizers' folder.
	@test -d "$$ANTIVENOM_TOKENIZERS" || { echo "ANTIVENOM_TOKENIZERS must name a folder with qwen3, llama3_1 and gemma3"; exit 2; }
	HF_HUB_OFFLINE=1 $(BIN)/pytest -q -rs -m architectures tests/architectures

lint: $(READY)  ## Check style and formatting.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)  ## Check types, strictly.
	$(BIN)/mypy

check: lint types test  ## Everything that must be green before a commit.

bench: $(READY)  ## Measure speed against the usual ways, side by side; records go to results/bench/.
	$(BIN)/pip install --quiet --constraint constraints.txt trl
	HF_HUB_OFFLINE=1 $(BIN)/python -m benchmarks

clean:  ## Remove the environment and what the demo made.
	rm -rf $(VENV) demo

# torch comes first and pinned: any other request would bring gigabytes of GPU libraries to a machine without a GPU.
$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/pip install --quiet $$(grep '^torch==' constraints.txt)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable ".[demo]" --group dev
	touch $@
