# Each target makes its own virtual environment when needed; needs Python 3.11+ and make.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
ARGS ?=
MUTANTS ?=

.PHONY: anchor-align test test-all faults docker-test lint schemas mutation calibration clean

anchor-align: $(STAMP)  ## The main job: three prompt variants against the anchors, on the embedded Kafka.
	$(BIN)/python -m pytest scenarios/ -k anchor_align $(ARGS)

# Three workers for two cores: a good part of the time is waiting.
PYTEST := $(BIN)/python -m pytest -p no:randomly -n 3 --dist loadfile --no-loadscope-reorder

test: $(VENV)/.installed-test  ## The tests, on a real embedded Kafka.
	$(PYTEST) -m "not thorough" $(ARGS)

test-all: $(VENV)/.installed-test  ## Further variations too; takes about half as long again.
	$(PYTEST) $(ARGS)

faults: $(VENV)/.installed-test  ## Every planted fault and 224 clean runs, on the embedded Kafka and without; writes docs/faults.md.
	$(BIN)/python tests/faults/matrix.py $(ARGS)

docker-test: $(VENV)/.installed-container  ## Images, container broker and compose stack; starts an engine if it may.
	PYTHON=$(BIN)/python scripts/docker_test.sh $(ARGS)

lint: $(VENV)/.installed-test  ## Style and types.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

schemas: $(VENV)/.installed-test  ## Generate schemas/ from the models.
	$(BIN)/python scripts/generate_schemas.py

mutation: $(VENV)/.installed-mutation  ## Mutants of checks/ and gates/ (MUTANTS='*.timing.*' for some); about a quarter of an hour.
	$(BIN)/python scripts/mutation_run.py --budget 8 $(MUTANTS)
	$(BIN)/python scripts/mutation_report.py --fail-under 90

calibration: $(STAMP)  ## Measure how honest intervals and tests are, into docs/calibration.md; some minutes.
	$(BIN)/python scripts/calibration.py --replicates 400 $(ARGS)

clean:
	rm -rf $(VENV) .eng5 mutants

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(STAMP): pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable '.[embedded]'
	@touch $@

$(VENV)/.installed-test: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable '.[embedded,test]'
	@touch $@ $(STAMP)

$(VENV)/.installed-mutation: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable '.[embedded,test,mutation]'
	@touch $@ $(STAMP) $(VENV)/.installed-test

$(VENV)/.installed-container: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable '.[embedded,container,test]'
	@touch $@ $(STAMP) $(VENV)/.installed-test
