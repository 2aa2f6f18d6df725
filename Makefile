# Each target makes the environment it needs, once, from one Python alone: python3, or the one named
# by PYTHON=python3.13. Every version of Python has its own, in .venv/3.13, .venv/3.12, ...
# OLDEST=1 installs the oldest versions that requirements*.txt allow, in .venv/3.13-oldest.

PYTHON ?= python3
OLDEST ?=
VERSION := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)
VENV := .venv/$(VERSION)$(if $(OLDEST),-oldest)
BIN := $(VENV)/bin
DEMO := results/train-demo
INSTALLED := $(VENV)/.installed
INSTALLED_APP := $(VENV)/.installed-app
INSTALL = $(BIN)/python -m pip install --quiet --upgrade-strategy only-if-needed \
	$(if $(OLDEST),--constraint $(VENV)/oldest.txt)

.PHONY: test lint types tests slow fuzz app test-app demo train-demo clean

test: lint types tests

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(INSTALLED)
	$(BIN)/mypy

# A process for each core, with a thread each. TESTS=tests/test_video.py runs that file alone.
tests: $(INSTALLED)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist worksteal $(TESTS)

# What takes minutes: memory over long videos, whole commands in several processes.
slow: $(INSTALLED)
	$(BIN)/python -m pytest -m slow -s

# Thousands of faulty inputs, each of which has to be met as docs/promises.md says. FUZZ="--seed 7"
# tries others.
fuzz: $(INSTALLED)
	OMP_NUM_THREADS=1 $(BIN)/python tools/fuzz.py $(FUZZ)

# The web page, at http://127.0.0.1:7860 until Ctrl-C.
app: $(INSTALLED_APP)
	$(BIN)/python app.py

# The page used in a real browser, which has to be there: Chromium or Chrome.
test-app: $(INSTALLED) $(INSTALLED_APP)
	$(INSTALL) playwright
	$(BIN)/python -m pytest -m browser

# Animates demo/source.png by demo/driving.mp4 with the checkpoint that comes with the project.
demo: $(INSTALLED)
	$(BIN)/python animate.py

# From nothing to moving pictures in some minutes: make data, train, score, animate.
train-demo: $(INSTALLED)
	$(BIN)/python tools/make_puppets.py --size 64 --train 60 --test 6 --transfer 1 --format frames \
		--out $(DEMO)/puppets
	@echo "watch the training with: $(BIN)/tensorboard --logdir $(DEMO)"
	$(BIN)/python train.py --config config/puppets-64.yaml --log_dir $(DEMO) \
		--set dataset_params.root_dir=$(DEMO)/puppets --set train_params.num_repeats=16 \
		--set train_params.num_epochs=3 --set 'train_params.epoch_milestones=[2]'
	checkpoint=$$(ls -t $(DEMO)/puppets-64-*/best.pth.tar | head -n 1) && \
	$(BIN)/python reconstruction.py --checkpoint $$checkpoint && \
	$(BIN)/python animate.py --checkpoint $$checkpoint --side_by_side \
		--source_image $(DEMO)/puppets/transfer/transfer-00000/source.png \
		--driving_video $(DEMO)/puppets/transfer/transfer-00000/driving \
		--result_video $(DEMO)/animated.mp4

# The bounds name a minimum for each package; turned into exact versions, they install it.
$(VENV)/.made: requirements.txt requirements-dev.txt requirements-app.txt requirements-export.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
		{ echo "error: $(PYTHON): not Python 3.10 or newer; name one with PYTHON=python3.13" >&2; \
		exit 2; }
	$(PYTHON) -m venv $(VENV)
	sed -n 's/^\([a-zA-Z-]*\)>=\([^,]*\).*/\1==\2/p' $^ > $(VENV)/oldest.txt
	touch $@

$(INSTALLED): $(VENV)/.made
	$(INSTALL) -r requirements-dev.txt
	touch $@

$(INSTALLED_APP): $(VENV)/.made
	$(INSTALL) -r requirements-app.txt
	touch $@

clean:
	rm -rf .mypy_cache .ruff_cache .pytest_cache results
