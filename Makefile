PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DEMO_DIR ?= build/demo
# Two processes, each with whole files: fixtures that train are shared in a file.
PARALLEL ?= -n 2 --dist loadfile
# A process has a core of its own then.
test test-large: export TF_NUM_INTRAOP_THREADS ?= 1
# TensorFlow reports a missing GPU as an error.
export TF_CPP_MIN_LOG_LEVEL ?= 3

.PHONY: venv demo test test-large lint docs dist clean

venv: $(STAMP)

$(STAMP): setup.py constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet --constraint constraints.txt \
		--editable '.[train,serving,scoring,hub,test,docs,release]'
	touch $(STAMP)

demo: $(STAMP)
	$(BIN)/python -m benchmarks.demo --workdir $(DEMO_DIR)

test: $(STAMP)
	$(BIN)/python -m pytest $(PARALLEL) -m 'not large' --cov --cov-report=term \
		--cov-fail-under=90 --durations=10

test-large: $(STAMP)
	$(BIN)/python -m pytest $(PARALLEL) --durations=20

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# Into build/docs/index.html; offline, and a warning is an error.
docs: $(STAMP)
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs build/docs

# Into dist/: the source and, made from it, the wheel.
dist: $(STAMP)
	rm -rf dist
	$(BIN)/python -m build
	$(BIN)/python -m twine check --strict dist/*

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .ruff_cache .coverage
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
