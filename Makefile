# Thin: every target runs a command you can run yourself. Needs Python 3.11 or newer, nothing else.
.DEFAULT_GOAL := help
SHELL := /bin/bash

# The first Python that is new enough; name another with: make PYTHON=/path/to/python …
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && exit; done; echo python3)
BIN := .venv/bin
PACKAGES := shared stack audit lab services/*
SCRIPTS := scripts/lock .ci/run docker/kafka/healthy docker/kafka/connect-healthy
INSTALLED := .venv/installed
# Most of their time is the mock cluster's own waits (3 s a group): side by side these pass together.
UNIT := $(BIN)/pytest -n 6 --dist worksteal tests/unit

.PHONY: help install demo lab up down logs ps test test-unit coverage test-integration test-faults test-delivery lab-see lab-write lab-repair test-e2e bench lint format lock clean \
	docker-build docker-up docker-down docker-logs

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-17s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(INSTALLED) ## Install everything into .venv, from the hash-pinned locks

$(INSTALLED): scripts/install.py requirements/bootstrap.lock requirements/dev.lock $(wildcard $(addsuffix /pyproject.toml,$(PACKAGES)))
	@$(PYTHON) scripts/install.py

demo: $(INSTALLED) ## Start the stack, send records through every stage, watch them until Ctrl-C
	@$(BIN)/newsroom demo

lab: $(INSTALLED) ## Run every experiment of the lab, and write lab.html
	@$(BIN)/newsroom lab run --all --no-wait --html lab.html

up: $(INSTALLED) ## Start the stack in the background
	@$(BIN)/newsroom up --detach

down: $(INSTALLED) ## Stop it
	@$(BIN)/newsroom down

ps: $(INSTALLED) ## Show every process
	@$(BIN)/newsroom ps

logs: $(INSTALLED) ## Follow all logs
	@$(BIN)/newsroom logs --follow

docker-build: ## Build the images of the services
	@docker compose build --build-arg REVISION=$$(git rev-parse HEAD) \
	--build-arg SOURCE=$$(git config --get remote.origin.url || echo unknown)

docker-up: ## Start the stack as containers, with the services as they are now
	@docker compose up --detach --build --wait

docker-down: ## Stop the containers; volumes stay (docker compose down -v deletes them)
	@docker compose down

docker-logs: ## Follow the containers' logs
	@docker compose logs --follow

test: $(INSTALLED) ## All tests: unit, integration, faults, end-to-end when a Docker engine answers
	@$(UNIT)
	@$(BIN)/pytest tests/integration
	@$(BIN)/pytest tests/faults
	@if docker info >/dev/null 2>&1; then $(BIN)/pytest tests/e2e; \
	else echo "no Docker engine answers: the end-to-end tests of the containers are left out (make test-e2e)"; fi

test-unit: $(INSTALLED) ## Unit tests: seconds, no JVM
	@$(UNIT)

coverage: $(INSTALLED) ## Unit tests, and the lines and branches that they miss (at most 10 %)
	@$(UNIT) --cov --cov-report=term-missing --cov-fail-under=90

test-integration: $(INSTALLED) ## Integration tests on a real cluster of their own
	@$(BIN)/pytest tests/integration

test-faults: $(INSTALLED) ## Each broker's role lost under load, five seeds (17 minutes): figures in faults.jsonl
	@$(BIN)/pytest tests/faults --figures faults.jsonl

test-delivery: $(INSTALLED) ## 200,000 records and 20 kills, and each way to reset a group (minutes); make test tries fewer
	@$(BIN)/pytest tests/integration/test_kills.py tests/integration/test_groups.py --whole

lab-see: $(INSTALLED) ## Run all experiments of the lab and their wrong answers (half an hour); make test runs the quick ones
	@$(BIN)/pytest tests/integration/test_lab.py --whole

lab-write: $(INSTALLED) ## Try right and wrong programs on all tasks of the lab (half an hour); make test tries five
	@$(BIN)/pytest tests/integration/test_lab_write.py --whole

lab-repair: $(INSTALLED) ## Break, repair and heal each fault of the lab (minutes); make test tries two
	@$(BIN)/pytest tests/integration/test_lab_repair.py --whole

test-e2e: $(INSTALLED) ## End-to-end tests of the containers, through the compose network
	@$(BIN)/pytest tests/e2e

bench: $(INSTALLED) ## Run a benchmark on the running stack: make bench NAME=consume
	@eval "$$($(BIN)/newsroom env)" && $(BIN)/python benchmarks/$(NAME).py

lint: $(INSTALLED) ## Check style, types, imports, dependencies, Dockerfile, scripts and YAML; changes nothing
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/mypy --explicit-package-bases tests scripts/*.py benchmarks/*.py docker/*.py docker/example/*.py
	@$(BIN)/lint-imports --no-cache --no-logo
	@for member in $(PACKAGES); do \
	said=$$($(BIN)/deptry --config "$$member/pyproject.toml" "$$member" 2>&1) || { echo "$$said"; exit 1; }; done
	@$(BIN)/hadolint Dockerfile
	@$(BIN)/yamllint --strict .
	@$(BIN)/shellcheck $(SCRIPTS)

format: $(INSTALLED) ## Put the sources into the common form
	@$(BIN)/ruff check --fix --quiet . || true
	@$(BIN)/ruff format .

lock: $(INSTALLED) ## Make the hash-pinned locks of packages and jars anew
	@scripts/lock
	@$(BIN)/python scripts/lock_jars.py

clean: ## Delete the environment; data stays (newsroom down --wipe deletes it)
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage
