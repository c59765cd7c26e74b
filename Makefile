# The commands of this project. `make help` lists them. Only Python 3.11 or later and make are needed.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

# The first Python that is new enough; `make PYTHON=/path/to/python3.12 …` chooses another.
PYTHON ?= $(firstword $(foreach p,python3 python3.13 python3.12 python3.11 python3.14,$(shell \
  $(p) -c 'import sys; print("$(p)") if sys.version_info >= (3, 11) else None' 2>/dev/null)))
VENV := .venv
BIN := $(VENV)/bin
# The formatter and linter of JavaScript and CSS, from npm. The platform itself needs no Node.js.
BIOME := requirements/biome/node_modules/.bin/biome
WITH_NODE = PATH="$(abspath $(BIN)):$$PATH"
LOCKS := requirements/build.txt requirements/workers.txt requirements/cuda.txt
PIP = $(BIN)/python -m pip install --disable-pip-version-check --progress-bar off
# Files that have a hash of the lock, and nothing that is not in it; what comes as source is built by what is installed.
LOCKED = $(PIP) --require-hashes --no-deps --no-build-isolation
# Python keeps compiled modules, because the tests start many processes and each would compile all modules again.
export PYTHONDONTWRITEBYTECODE :=
# Where torch and torchvision alone come from, instead of the index pip is set up with.
TORCH_INDEX ?=

.PHONY: help demo run test check lint format lock sbom pocket pocket-eval bench-learning chaos docs messages chromium clean

help:  ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1|\2/' | column -t -s '|'

demo: $(VENV)/.installed  ## Install, run the sample dataset through the whole loop, leave the site running (ARGS="--no-serve")
	@$(BIN)/mekiki demo $(ARGS)

run: $(VENV)/.installed  ## Run the empty platform on this machine (ARGS="--port 8080")
	@$(BIN)/mekiki up $(ARGS)

test: lint chromium  ## Check and test everything, a real browser included (ARGS="tests/embedded -x")
	@# More processes than cores: many tests wait for a server or a browser. Each process has its own database, and one
	@# thread for its arithmetic.
	@if [ -n "$(ARGS)" ]; then $(BIN)/python -m pytest $(ARGS); \
	  else OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder --durations=40 \
	    --durations-min=2; fi

check: lint  ## Check style and types, run the fast tests: before every commit (tests/slow.py)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2 --dist loadfile -m "not e2e and not slow"

lint: $(VENV)/.installed-dev $(BIOME)  ## Style, types, import layers, missing migrations
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/djlint templates --check --quiet
	$(WITH_NODE) $(BIOME) check --error-on-warnings
	$(BIN)/mypy
	PYTHONPATH=platform:. $(BIN)/lint-imports
	@home=$$(mktemp -d); trap 'rm -rf "$$home"' EXIT; \
	  MEKIKI_HOME="$$home" $(BIN)/python -W ignore manage.py makemigrations --check --dry-run

format: $(VENV)/.installed-dev $(BIOME)  ## Put the code into its form
	$(BIN)/ruff check --fix
	$(BIN)/ruff format
	$(BIN)/djlint templates --reformat --quiet
	$(WITH_NODE) $(BIOME) check --write

lock: $(VENV)/.installed-dev  ## Resolve requirements/*.in into *.txt (ARGS=--upgrade, --cuda: requirements/lock.py)
	$(BIN)/python requirements/lock.py $(ARGS)

sbom: $(VENV)/.installed-dev  ## Write the software bill of materials to dist/ (CycloneDX, JSON)
	$(BIN)/python requirements/sbom.py $(ARGS)

pocket: $(VENV)/.installed  ## Train the bundled small encoder again (ARGS="--help")
	$(BIN)/python -m workers.pocket.train $(ARGS)

pocket-eval: $(VENV)/.installed  ## Measure it and write its card (PHOTOS=folder with one folder a class)
	$(BIN)/python -m workers.pocket.evaluate --card --json benchmarks/results/pocket.json --photos "$(PHOTOS)"

bench-learning: $(VENV)/.installed  ## Measure what accuracy costs in labels, write table and plots (PHOTOS=folder ARGS="--cache DIR")
	$(BIN)/python benchmarks/learning.py --photos "$(PHOTOS)" --json benchmarks/results/learning.json --docs $(ARGS)

chaos: $(VENV)/.installed-bench  ## Kill, stop, fill the disk and shift the clock under a working platform, some 30 minutes (ARGS="--quick")
	$(BIN)/python benchmarks/chaos.py --json benchmarks/results/chaos.json $(ARGS)

docs: $(VENV)/.installed  ## Write the reference pages that come from code
	PYTHONPATH=platform $(BIN)/python -c 'from mekiki.config import env; print(env.reference(), end="")' \
	  > docs/reference/environment.md

messages: $(VENV)/.installed-dev  ## Compile the translation catalogues
	$(BIN)/python -c 'import pathlib, polib; [polib.pofile(str(p)).save_as_mofile(str(p.with_suffix(".mo"))) \
	  for p in pathlib.Path("platform/mekiki/locale").rglob("*.po")]'

clean:  ## Remove the virtual environment and caches; data in var/ stays
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis

# --- What the commands stand on -----------------------------------------------------------------------------

$(BIN)/python:
	@if [ -z "$(PYTHON)" ]; then \
	  echo "Mekiki needs Python 3.11 or later, and this machine's python3 is $$(python3 --version 2>/dev/null || echo missing)."; \
	  echo "Install one, or name it: make PYTHON=/path/to/python3.12 demo"; exit 1; fi
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
	  echo "The virtual environment could not be made. On Debian and Ubuntu: apt install python3-venv"; exit 1; }

$(VENV)/.installed: $(BIN)/python pyproject.toml $(LOCKS)
	@echo "Installing Mekiki into $(VENV) (some minutes the first time) …"
	@$(PIP) --quiet --require-hashes --no-deps -r requirements/build.txt
	$(BIN)/python requirements/install_torch.py $(TORCH_INDEX)
	$(LOCKED) -r requirements/workers.txt | { grep -vE '^Requirement already' || true; }
	@# A torch with CUDA asks for more than the lock of the workers has.
	@$(BIN)/python -m pip check >/dev/null || $(LOCKED) -r requirements/cuda.txt
	@$(PIP) --quiet --no-deps --no-build-isolation --no-index --editable .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed requirements/dev.txt
	$(LOCKED) -r requirements/dev.txt | { grep -vE '^Requirement already' || true; }
	@touch $@

$(VENV)/.installed-bench: $(VENV)/.installed-dev requirements/bench.txt
	$(LOCKED) -r requirements/bench.txt | { grep -vE '^Requirement already' || true; }
	@touch $@

$(BIOME): $(VENV)/.installed-dev requirements/biome/package-lock.json
	@$(WITH_NODE) npm ci --prefix requirements/biome --no-audit --no-fund --loglevel=error >/dev/null
	@touch $@

chromium:
	@if ! command -v chromium-headless-shell >/dev/null 2>&1 && ! command -v chromium >/dev/null 2>&1; then \
	  if ! command -v apt-get >/dev/null 2>&1; then \
	    echo "The browser tests need 'chromium-headless-shell' or 'chromium' on the PATH. Install it and try again."; exit 1; fi; \
	  root=""; if [ "$$(id -u)" != 0 ]; then root=sudo; command -v sudo >/dev/null 2>&1 || { \
	    echo "The browser tests need Chromium. As root: apt-get install chromium-headless-shell"; exit 1; }; fi; \
	  echo "Installing Chromium for the browser tests …"; \
	  $$root apt-get update -q; get="$$root apt-get install -q -y --no-install-recommends fonts-noto-cjk"; \
	  $$get chromium-headless-shell || $$get chromium; fi
