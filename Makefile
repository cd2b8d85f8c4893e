# make demo   sets everything up and groups real images        make test   sets everything up and runs the tests
# make check  lint, types, docstrings                          make bench  the short benchmark recipes
# make docs   the docs site, build/site/index.html; a warning is an error
# make names  writes anew what is read off the methods: tables of settings in the docs, options.json
# make dist   source distribution and wheel, in dist/   make coverage   the tests, and which lines they run
# make fuzz   damaged input by the thousand: SECONDS=120 MUTANTS= SEED=0 FIRST=0 ONLY=decode|sources|runs JOBS=1 GUIDED=1

VENV    := .venv
BIN     := $(VENV)/bin
STAMP   := $(VENV)/.ilk-ready
PYTHON  ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
             $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
UV      := $(shell command -v uv 2>/dev/null)
DEMO    := ilk-demo
INSTALL  = $(if $(UV),$(UV) pip install --python $(BIN)/python,$(BIN)/python -m pip install --disable-pip-version-check)

.PHONY: help setup demo test check coverage bench fuzz names docs dist clean

help:
	@sed -n '/^#/!q;s/^# //p' Makefile

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "ilk needs Python 3.11 or newer: install it, or say make PYTHON=/path/to/python3"; exit 1; }
	@echo "== setting up in $(VENV) with $$($(PYTHON) --version): some GB of packages (torch above all), 2 to 15 minutes"
ifneq ($(UV),)
	@test -x $(BIN)/python || $(UV) venv --python $(PYTHON) $(VENV)
else
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { \
	  echo "Python lacks venv: on Debian and Ubuntu, apt install python3-venv"; rm -rf $(VENV); exit 1; }
endif
	$(INSTALL) -c constraints.txt -e '.[dev]'
	@echo "== warming up: numba compiles UMAP's kernels once"
	@$(BIN)/python -W ignore -c "import umap"
	@touch $(STAMP)
	@echo "== ready"

demo: setup
	@$(BIN)/python examples/digits_folder.py $(DEMO)/digits
	$(BIN)/ilk cluster $(DEMO)/digits -k 10 --labels prefix -o $(DEMO)/run --overwrite
	@echo
	@echo "Your turn:  $(BIN)/ilk cluster /path/to/your/images"

# one worker per core, each with one thread
test: setup
	OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE $(BIN)/python -m pytest -q -m "not slow" -n auto --dist worksteal

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy fuzz
	$(BIN)/numpydoc lint --config . $$(find src/ilk -name '*.py')

# a fifth slower than `make test`: not part of it (CONTRIBUTING.md)
coverage: setup
	OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE $(BIN)/python -m pytest -q -m "not slow" -n auto --dist worksteal --cov --cov-report=term:skip-covered --cov-report=html

# the wheel is built from the source distribution; the version is that of the tag (docs/releasing.md)
dist: setup
	rm -rf dist build/lib build/bdist.*
	$(BIN)/python -m build --no-isolation
	@ls -l dist

docs: setup
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "The site: build/site/index.html"

names: setup
	$(BIN)/python docs/generate.py

bench: setup
	$(INSTALL) -q -c constraints.txt -e '.[bench]'
	$(BIN)/python benchmarks/run.py short

# fixed numbers of mutants are the same everywhere; a time is shared by the fuzzers (docs/fuzzing.md)
fuzz: setup
	$(if $(GUIDED),$(INSTALL) -q -c constraints.txt -e '.[fuzz]')
	$(BIN)/python -m fuzz $(if $(SECONDS),--seconds $(SECONDS)) $(if $(MUTANTS),--mutants $(MUTANTS)) \
	  $(if $(SEED),--seed $(SEED)) $(if $(FIRST),--first $(FIRST)) $(if $(ONLY),--only $(ONLY)) \
	  $(if $(JOBS),--jobs $(JOBS)) $(if $(GUIDED),--guided) $(if $(JSON),--json $(JSON))

clean:
	rm -rf $(VENV) $(DEMO) ilk-runs fuzz-found build dist htmlcov .coverage src/*.egg-info
