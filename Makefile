# Everything a checkout needs, from nothing but Python 3.11+ (tests use npm and some Debian packages, too).
#   make run     simulate the published ten-day experiment and say where its report is
#   make test    linters, types, layers, then every test
#   make live    a village as live agents over MQTT, broker included; ctrl-C leaves
#   make bench   speed, as ratios measured side by side
#   make bench-hub  the hub beside mosquitto
#   make bench-live a live market beside bare MQTT clients
#   make test-rabbit  rights on a RabbitMQ of Debian
#   make live-deps  the programs that live tests talk to: mosquitto (Debian)
#   make fuzz    attack the hub for SECONDS (60): noise, programs compared with mosquitto
#   make clean   remove what these made

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
SCENARIO ?= paper-2020
OUT ?= runs/$(SCENARIO)
WORKERS ?= 2
NODE := build/node
PEERS := build/node-mqtt
SECONDS ?= 60
LIVE ?= quickstart
LIVE_OPTIONS ?=

.DEFAULT_GOAL := help
.PHONY: help run live live-deps test lint bench bench-hub bench-live test-rabbit fuzz clean install install-test

help:
	@sed -n 's/^#   //p' $(firstword $(MAKEFILE_LIST))

run: install
	$(BIN)/voltagora run $(SCENARIO) --out $(OUT) --force
	@echo "Open $(OUT)/report.html in a browser."

live: install
	$(BIN)/voltagora live $(LIVE) $(LIVE_OPTIONS)

test: lint $(NODE)/.installed $(PEERS)/.installed
	$(BIN)/python -m pytest -n $(WORKERS)

lint: install-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: install-test
	$(BIN)/python -m benchmarks

# Needs mosquitto (Debian: mosquitto), which is not started as a service by it.
bench-hub: install-test
	$(BIN)/python -m benchmarks.bench_hub

bench-live: install-test
	$(BIN)/python -m benchmarks.bench_live

live-deps: $(PEERS)/.installed

# Rights on RabbitMQ, which takes half a minute to start; not part of `make test`.
test-rabbit: install-test
	@[ -x /usr/lib/rabbitmq/bin/rabbitmq-server ] || [ "$$(id -u)" != 0 ] || \
	    (apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq rabbitmq-server >/dev/null; \
	    rabbitmqctl stop >/dev/null 2>&1 || true)
	$(BIN)/python -m pytest tests/rabbit

# Coverage-guided, so a library is needed that builds on it; only here.
fuzz: install-test $(PEERS)/.installed
	$(BIN)/python -m pip install --quiet "atheris>=3; platform_system == 'Linux'"
	SECONDS_EACH=$(SECONDS) $(BIN)/python fuzz/all.py

clean:
	rm -rf $(VENV) build dist runs .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis .benchmarks

install: $(VENV)/.installed
install-test: $(VENV)/.installed-test

$(VENV)/.installed: pyproject.toml
	@$(PYTHON) -c 'import sys; old = sys.version_info < (3, 11); \
	    sys.exit("VoltAgora needs Python 3.11 or later, and $(PYTHON) is " + sys.version.split()[0] + \
	    ". Name another: make PYTHON=python3.12 $(MAKECMDGOALS)" if old else 0)'
	@echo "Installing into $(VENV), which takes a minute or two the first time."
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

# Dependency groups are read by pip 25.1 and later.
$(VENV)/.installed-test: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --group test
	@touch $@

# The AsyncAPI document is checked by the parser of those who wrote the standard. Where npm is missing
# or has no network that one test is skipped and says so; in CI that is a failure.
$(NODE)/.installed: tests/protocols/asyncapi/package.json
	@mkdir -p $(NODE) && cp tests/protocols/asyncapi/package.json $(NODE)/
	@if command -v npm >/dev/null && \
	    npm install --prefix $(NODE) --no-audit --no-fund --ignore-scripts --loglevel=error; then touch $@; \
	elif [ -n "$$CI" ]; then echo "npm is missing or failed, and CI may not skip the AsyncAPI check" >&2; exit 1; \
	else echo "npm is missing or failed: the AsyncAPI check will be skipped"; fi

# Other people's brokers and clients, which the hub is tried with: Debian's where we may install, and
# npm's. What is missing is skipped by the tests, which say so; in CI it is a failure.
$(PEERS)/.installed: tests/hub/proof/node/package.json
	@mkdir -p $(PEERS)
	@for program in mosquitto mosquitto_pub chromium; do \
	    PATH="$$PATH:/usr/sbin" command -v $$program >/dev/null || missing=1; \
	done; \
	if [ -n "$$missing" ] && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends \
	        mosquitto mosquitto-clients chromium >/dev/null || [ -z "$$CI" ]; \
	fi
	@cp $< $(PEERS)/; if command -v npm >/dev/null && \
	    npm install --prefix $(PEERS) --no-audit --no-fund --ignore-scripts --loglevel=error; then touch $@; \
	else echo "npm is missing or failed: the hub is not tried with JavaScript clients"; fi
