# `make book` renders the book, `make test` proves it; both set themselves up in .venv first.
PYTHON ?= python3
VENV := .venv
JAX := .venv-jax
TORCH := .venv-torch
BENCH := .venv-bench
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# TensorFlow's start-up chatter goes to stderr; the test runner and the executor have no use for it.
export TF_CPP_MIN_LOG_LEVEL ?= 3

.PHONY: book pdf colab linkcheck test test-jax test-torch lint format execute lab study bench bench-guard serve lock clean help

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/:[^#]*##/\t/' | expand -t 12

$(READY): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14) and \
		"TensorFlow needs Python 3.11, 3.12 or 3.13 (name it: make PYTHON=python3.13), this is " + sys.version)'
	@echo "Installing TensorFlow and the book's other packages into $(VENV): 3 GB, some minutes, once."
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

book: $(READY)  ## render the book with warnings as errors
	$(BIN)/jupyter-book build --quiet -W -n --keep-going .
	@echo "The book: $(CURDIR)/_build/html/index.html"

pdf: $(READY)  ## print the whole book to one PDF (needs Chromium or Chrome)
	$(BIN)/jupyter-book build --quiet -W -n --keep-going --builder singlehtml .
	$(BIN)/python book/pdf.py _build/singlehtml _build/book.pdf
	@echo "The book: $(CURDIR)/_build/book.pdf"

colab: $(READY)  ## give the pages Colab buttons: make colab REPOSITORY=https://github.com/OWNER/NAME [BRANCH=main]
	$(BIN)/python book/colab.py "$(REPOSITORY)" --branch "$(or $(BRANCH),main)"

linkcheck: $(READY)  ## ask every page that the book links to whether it is there (needs network)
	$(BIN)/jupyter-book build --quiet --keep-going --builder linkcheck .

test: $(READY)  ## run the package's tests and every notebook
	$(BIN)/python -m pytest --numprocesses auto --dist loadscope

$(JAX)/.ready: $(READY) tests/requirements-jax.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --upgrade \
		--target $(JAX) -r tests/requirements-jax.txt
	@touch $@

test-jax: $(JAX)/.ready  ## run the tests of what needs no TensorFlow on Keras' JAX backend
	KERAS_BACKEND=jax PYTHONPATH=$(JAX) $(BIN)/python -m pytest tests/test_layers.py tests/test_backends.py

$(TORCH)/.ready: $(READY) tests/requirements-torch.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --upgrade \
		--target $(TORCH) -r tests/requirements-torch.txt
	@touch $@

test-torch: $(TORCH)/.ready  ## run the tests of what needs no TensorFlow on Keras' PyTorch backend
	KERAS_BACKEND=torch PYTHONPATH=$(TORCH) $(BIN)/python -m pytest tests/test_layers.py tests/test_backends.py

lint: $(READY)  ## check style, formatting and spelling
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell

format: $(READY)  ## mend style and formatting
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

execute: $(READY)  ## run all notebooks at full length and write their outputs back
	$(BIN)/python book/execute.py

lab: $(READY)  ## train the laboratory's nets that are missing or stale, and export them
	$(BIN)/python book/lab.py

study: $(READY)  ## run what is missing of the study (CHECK=1: run a few runs again and compare)
	$(BIN)/python -m cae_lessons.study --out cae_lessons/study_records.jsonl $(if $(CHECK),--check)

$(BENCH)/.ready: requirements.txt pyproject.toml benchmarks/requirements.txt tests/requirements-jax.txt
	@echo "Installing PyTorch, JAX and the book's packages into $(BENCH): 4 GB, some minutes, once."
	$(PYTHON) -m venv $(BENCH)
	$(BENCH)/bin/python -m pip install --quiet --disable-pip-version-check -r benchmarks/requirements.txt
	$(BENCH)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

bench: $(BENCH)/.ready  ## measure the package against Keras' defaults, PyTorch and JAX, the book and the machine
	$(BENCH)/bin/python -m benchmarks

bench-guard: $(READY)  ## fail where training fell behind Keras' `fit` since the last `make bench`
	$(BIN)/python -m benchmarks --guard --repeats 2

serve: book  ## show the book at http://localhost:8000
	$(BIN)/python -m http.server --bind 127.0.0.1 --directory _build/html 8000

lock:  ## pin the newest versions that pyproject.toml allows (needs uv)
	uv pip compile --universal --upgrade --python-version 3.11 --extra book --extra export --extra study --extra test \
		--no-header --no-annotate --no-emit-index-url pyproject.toml --output-file requirements.txt

clean:  ## remove the rendered book and the virtual environment
	rm -rf _build $(VENV) $(JAX) $(TORCH) $(BENCH)
