# Each target makes the environment it needs in .venv, once, with python3 alone.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO := results/train-demo
INSTALLED := $(VENV)/.installed
INSTALLED_APP := $(VENV)/.installed-app

.PHONY: test lint types tests slow app test-app demo train-demo clean

test: lint types tests

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(INSTALLED)
	$(BIN)/mypy

# A process for each core, with a thread each.
tests: $(INSTALLED)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist worksteal

# What takes minutes: memory over long videos, whole commands in several processes.
slow: $(INSTALLED)
	$(BIN)/python -m pytest -m slow -s

# The web page, at http://127.0.0.1:7860 until Ctrl-C.
app: $(INSTALLED_APP)
	$(BIN)/python app.py

# The page used in a real browser, which has to be there: Chromium or Chrome.
test-app: $(INSTALLED) $(INSTALLED_APP)
	$(BIN)/python -m pip install --quiet playwright
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

$(INSTALLED): requirements.txt requirements-dev.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade-strategy only-if-needed -r requirements-dev.txt
	touch $@

$(INSTALLED_APP): requirements.txt requirements-app.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade-strategy only-if-needed -r requirements-app.txt
	touch $@

clean:
	rm -rf .mypy_cache .ruff_cache .pytest_cache results
