# Every target does its own set-up. `make reproduce` installs what the package needs to run;
# the others add the tools of development. A set-up is repeated only when pyproject.toml or
# constraints.txt has changed.

VENV := .venv
BIN := $(VENV)/bin
CREATED := $(VENV)/.created
RUNTIME := $(VENV)/.installed-runtime
DEV := $(VENV)/.installed-dev
PIP_INSTALL := $(BIN)/python -m pip install --quiet --constraint constraints.txt
NOTEBOOKS = $(sort $(wildcard notebooks/*.ipynb))

.PHONY: help install reproduce figures test slow check kin lint format notebooks wheel \
	bench clean

help:
	@echo "make reproduce   compare theory with simulation and draw the headline figure"
	@echo "make figures     compute and draw all of paper_figures/, and write its README"
	@echo "make test        run the tests and the examples of the docstrings"
	@echo "make slow        run the tests that are too slow for these"
	@echo "make check       run both, in one go"
	@echo "make kin         run those whose kin the others hold"
	@echo "make lint        style, types and the rules of import"
	@echo "make format      rewrite the code in the one style"
	@echo "make notebooks   execute the notebooks"
	@echo "make wheel       install wheel and sdist in empty environments and try them there"
	@echo "make bench       measure speed"
	@echo "make install     only set up $(VENV), with everything"
	@echo "make clean       remove $(VENV) and all caches"

install: $(DEV)

reproduce: $(RUNTIME)
	$(BIN)/python -m kerneltheory reproduce headline --fresh

figures: $(RUNTIME)
	$(BIN)/python -m kerneltheory reproduce all --fresh

test: $(DEV)
	$(BIN)/python -m pytest --durations=30

slow: $(DEV)
	$(BIN)/python -m pytest --durations=30 -m "slow and not kin" tests

check: $(DEV)
	$(BIN)/python -m pytest --durations=30 -m "not kin"

kin: $(DEV)
	$(BIN)/python -m pytest --durations=30 -m kin tests

lint: $(DEV)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports

format: $(DEV)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

notebooks: $(DEV)
ifeq ($(NOTEBOOKS),)
	@echo "there are no notebooks"
else
	OPENBLAS_NUM_THREADS=1 \
	$(BIN)/python -m pytest --override-ini addopts= -n 2 --nbmake --nbmake-timeout=120 $(NOTEBOOKS)
endif

wheel: $(DEV)
	.ci/wheel $(BIN)/python

bench: $(DEV)
	$(BIN)/python -m pytest --override-ini addopts= --override-ini "norecursedirs=.*" \
		--import-mode=importlib --benchmark-only tests/benchmarks

clean:
	rm -rf $(VENV) build dist .pytest_cache .ruff_cache .hypothesis .benchmarks .import_linter_cache
	find kerneltheory tests paper_figures -name __pycache__ -type d -prune -exec rm -rf {} +

# A candidate is run, not only looked up: a version manager may know a name without having it.
$(CREATED):
	@rm -rf $(VENV)
	@for candidate in python3.11 python3.12 python3.13 python3; do \
		if $$candidate -c 'import ensurepip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
			echo "$$candidate -m venv $(VENV)"; \
			$$candidate -m venv $(VENV) && touch $@; \
			exit; \
		fi; \
	done; \
	echo "kerneltheory needs Python 3.11 or newer, with its venv module;" \
		"none was found as python3.11, python3.12, python3.13 or python3" >&2; \
	exit 1

# The build backend is installed first, so that its version too comes from constraints.txt.
$(RUNTIME): pyproject.toml constraints.txt $(CREATED)
	$(PIP_INSTALL) hatchling
	$(PIP_INSTALL) --no-build-isolation --editable '.[data]'
	@touch $@

$(DEV): $(RUNTIME)
	$(PIP_INSTALL) --no-build-isolation --editable '.[dev]'
	@touch $@
