# Each target makes its own virtual environment when needed; needs Python 3.11+ and make.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
ARGS ?=

.PHONY: anchor-align test test-all docker-test lint schemas calibration clean

anchor-align: $(STAMP)  ## The main job: three prompt variants against the anchors, on the embedded Kafka.
	$(BIN)/python -m pytest scenarios/ -k anchor_align $(ARGS)

test: $(VENV)/.installed-test  ## The tests, on a real embedded Kafka.
	$(BIN)/python -m pytest -p no:randomly -n 2 --dist loadfile -m "not thorough" $(ARGS)

test-all: $(VENV)/.installed-test  ## Further variations too; takes about half as long again.
	$(BIN)/python -m pytest -p no:randomly -n 2 --dist loadfile $(ARGS)

docker-test: $(VENV)/.installed-container  ## Images, container broker and compose stack; starts an engine if it may.
	PYTHON=$(BIN)/python scripts/docker_test.sh $(ARGS)

lint: $(VENV)/.installed-test  ## Style and types.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

schemas: $(VENV)/.installed-test  ## Generate schemas/ from the models.
	$(BIN)/python scripts/generate_schemas.py

calibration: $(STAMP)  ## Measure how honest intervals and tests are, into docs/calibration.md; some minutes.
	$(BIN)/python scripts/calibration.py --replicates 300 $(ARGS)

clean:
	rm -rf $(VENV) .eng5

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

$(VENV)/.installed-container: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable '.[embedded,container,test]'
	@touch $@ $(STAMP) $(VENV)/.installed-test
