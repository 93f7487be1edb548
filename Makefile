# Everything a newcomer needs is Python 3.11 or newer and make; uv is used where it is installed.
# The environment is made in .venv by tools/setup_env.py, and only when its lock has changed;
# INSTALLER=pip or INSTALLER=uv decides what with.

PYTHON ?= python3
TRACE ?= ../shared/traces/drac-graham-2021.sacct.gz
BUNDLE ?= artifacts/production
TUNED ?= models/ours
BASE_ARGS ?=
BASE_SEED ?= 8
IMAGE ?= rt-predictor:latest
BASE ?= python:3.13-slim
PYTEST_ARGS ?=
FUZZ_INPUTS ?= 100000
MINUTES ?= 10
ACCURACY_ARGS ?=

# Folders of tests that start processes, train models or take long; others are marked slow. `make test`
# runs them all.
SLOW := e2e fuzz bench training renew follow tools

BIN := .venv/bin
SETUPS := setup-serve setup-train setup-dev

# Whichever container program is there and works; asked only by the targets that need one.
ENGINE ?= $(shell docker info >/dev/null 2>&1 && echo docker || echo podman)
COMPOSE ?= $(ENGINE) compose
# Podman's own image format has no health check.
export BUILDAH_FORMAT := docker
# ONNX Runtime reports its use to its maker unless it is told not to.
export ORT_DISABLE_TELEMETRY := 1

.DEFAULT_GOAL := help
.PHONY: help demo test test-fast fuzz serve train base setup $(SETUPS) python engine lint format proto reference dashboard accuracy soak lock \
	image image-test start start-monitoring start-m2max train-image stop logs clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: setup-serve  ## start the service, ask it and show what it can do; needs nothing but this
	$(BIN)/python tools/demo.py

fuzz: setup-dev  ## send FUZZ_INPUTS hostile inputs to the service, other ones each time
	FUZZ_INPUTS=$(FUZZ_INPUTS) $(BIN)/python -m pytest -q -s tests/fuzz

test-fast: setup-dev  ## unit tests alone: no service, no training
	$(BIN)/python -m pytest -q -n auto --dist loadfile -m "not slow" $(SLOW:%=--ignore=tests/%) $(PYTEST_ARGS)

test: lint  ## every check, then the tests with coverage
	$(BIN)/python -m pytest -n 2 --dist loadfile --cov --cov-report=term $(PYTEST_ARGS)

serve: setup-serve  ## run the service here, with BUNDLE=artifacts/production
	$(BIN)/rt-predictor serve --bundle $(BUNDLE)

train: setup-train  ## tune the base model on TRACE, a job log, into TUNED
	$(BIN)/rt-predictor train $(TRACE) -o $(TUNED)

base: setup-train  ## train the base model, artifacts/production, on the public logs; some ten minutes
	RT_PREDICTOR_TRAINING__SEED=$(BASE_SEED) $(BIN)/python tools/base.py $(BASE_ARGS)

setup: setup-dev  ## make the environment for development, .venv

lint: setup-dev  ## check style, types, layers and that the generated code is in step with proto/
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo --no-cache
	$(BIN)/python tools/generate_proto.py --check
	$(BIN)/python tools/reference.py --check
	$(BIN)/python tools/dashboard.py --check

format: setup-dev  ## put the source in its standard form
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

proto: setup-dev  ## generate rt_predictor/api/v1 from proto/
	$(BIN)/python tools/generate_proto.py

reference: setup-dev  ## write the tables of docs/settings.md and docs/metrics.md
	$(BIN)/python tools/reference.py

dashboard: setup-dev  ## write the Grafana dashboard from tools/dashboard_panels.py
	$(BIN)/python tools/dashboard.py

accuracy: setup-train  ## evaluate eleven public logs and write the tables of docs/accuracy.md; hours
	$(BIN)/python tools/accuracy_table.py $(ACCURACY_ARGS)

soak: setup-dev  ## ten minutes of everything at once against a real service; MINUTES=10
	$(BIN)/python tools/soak.py --minutes $(MINUTES)

lock: python  ## write requirements/ anew (needs uv); UPGRADE=1 takes the newest versions
	$(PYTHON) tools/lock.py $(if $(UPGRADE),--upgrade)

image: engine  ## build the container image
	$(ENGINE) build --build-arg BASE=$(BASE) --file Containerfile --tag $(IMAGE) .

image-test:  ## build the image and run the service from it; as root with buildah, needs no registry
	$(PYTHON) tools/image_test.py $(IMAGE_TEST_ARGS)

start: engine  ## start the service in a container
	$(COMPOSE) up --build --detach

start-monitoring: engine  ## the same with Prometheus (port 9090) and Grafana (port 3000) beside it
	$(COMPOSE) --profile monitoring up --build --detach

start-m2max: engine  ## the same as start, with 4 CPUs and 8 GB for an Apple M2 Max
	$(COMPOSE) -f compose.yaml -f compose.m2max.yaml up --build --detach

train-image: engine  ## train from TRACE, a job log, in a container into the volume of models
	TRACE_FOLDER=$(abspath $(dir $(TRACE))) TRACE_IN_CONTAINER=/traces/$(notdir $(TRACE)) \
		$(COMPOSE) --profile training run --build --rm train

stop: engine  ## stop all that was started in containers; volumes stay
	$(COMPOSE) --profile monitoring --profile training down

logs: engine  ## follow what the service's container says
	$(COMPOSE) logs --follow

clean:  ## remove the environment and everything else that is made
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage .coverage.* build dist htmlcov
	find rt_predictor tests tools -name __pycache__ -type d -prune -exec rm -rf {} +

$(SETUPS): setup-%: python
	@$(PYTHON) tools/setup_env.py $*

python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "Python 3.11 or newer is needed; $(PYTHON) is: $$($(PYTHON) --version 2>&1 | head -n 1)." >&2; \
		echo "Name another one, for example: make $(firstword $(MAKECMDGOALS)) PYTHON=python3.12" >&2; \
		exit 1; }

engine:
	@command -v $(ENGINE) >/dev/null || { \
		echo "Docker or Podman is needed, and neither works here: see docker info, podman info." >&2; \
		exit 1; }
