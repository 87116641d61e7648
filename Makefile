# The doors of the project. Every target works from a bare clone: it sets up .venv when needed.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup demo test test-engines test-spark35 test-dbt2 test-slow test-histories test-simulation test-oracles test-boards test-bi test-all lint lint-sql compiled example bench docs boards pictures requirements clean

BIN := .venv/bin
STAMP := .venv/.installed
THROUGHLINE := $(BIN)/throughline
# Spark alone weighs half a gigabyte, so the engines have an environment of their own.
ENGINES := .build/engines-venv
# Builds that are not the user's keep their own workspace, target and log folder.
SCRATCH := .build
ORACLES := $(SCRATCH)/oracles
# goes before the Spark of the engines' environment
SPARK35 := $(SCRATCH)/spark35
DBT2 := $(SCRATCH)/dbt2
# dbt Charts brings some ninety packages of its own
BOARDS := $(SCRATCH)/boards-venv
BI := $(SCRATCH)/bi
EVIDENTLY := $(SCRATCH)/evidently

export DBT_SEND_ANONYMOUS_USAGE_STATS := false
export DBT_VERSION_CHECK := false
export PIP_DISABLE_PIP_VERSION_CHECK := 1

help:  ## list the targets
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## (.*)/  make \1|\2/' | column -t -s '|'

setup: $(STAMP)  ## install the pinned versions into .venv

$(STAMP): requirements.txt pyproject.toml scripts/setup_venv
	@scripts/setup_venv .venv
	@touch $@

DEMO := --predictions 60000 --days 120 --seed 7

demo: setup  ## simulate a company's raw logs, build, print the scorecard
	@$(THROUGHLINE) simulate $(DEMO) --out workspace
	@$(THROUGHLINE) use workspace
	@$(THROUGHLINE) build

lint: setup  ## format, lint and type checks of the Python code
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

lint-sql: export DBT_TARGET_PATH := $(SCRATCH)/lint/target
lint-sql: export DBT_LOG_PATH := $(SCRATCH)/lint/logs
lint-sql: export THROUGHLINE_WORKSPACE := $(SCRATCH)/lint/workspace
lint-sql: setup  ## sqlfluff on every model; make test takes those that are not committed
	@rm -rf $(SCRATCH)/lint
	@$(THROUGHLINE) simulate --predictions 600 --days 120 --seed 7 --out $(THROUGHLINE_WORKSPACE)
	@$(THROUGHLINE) exec -- sqlfluff lint models --disable-progress-bar --processes 2

test: export DBT_TARGET_PATH := $(SCRATCH)/test/target
test: export DBT_LOG_PATH := $(SCRATCH)/test/logs
test: export COVERAGE_FILE := $(SCRATCH)/test/coverage
test: export THROUGHLINE_WORKSPACE := $(SCRATCH)/test/workspace
test: setup  ## lint, type checks, dbt unit and data tests, pytest: what a change needs
	@rm -rf $(SCRATCH)/test
	@$(MAKE) --no-print-directory lint & linted=$$!; \
		$(THROUGHLINE) simulate $(DEMO) --out $(THROUGHLINE_WORKSPACE) && $(THROUGHLINE) build && wait $$linted
	@changed=$$(git ls-files -mo --exclude-standard -- 'models/*.sql' | xargs -r ls 2>/dev/null || true); \
		[ -z "$$changed" ] || $(THROUGHLINE) exec -- sqlfluff lint $$changed --disable-progress-bar
	@env -u THROUGHLINE_WORKSPACE -u DBT_TARGET_PATH -u DBT_LOG_PATH BUILT_DEMO=$(THROUGHLINE_WORKSPACE) \
		$(BIN)/pytest -q -n 2 --dist loadfile --no-loadscope-reorder -m 'not simulation and not thorough and not slow' \
		--cov=throughline --cov-report=
	@echo "Coverage of scripts/throughline, without what runs in processes of its own: $$($(BIN)/coverage report --format=total) %"

test-slow: setup  ## workspaces that are built whole: real logs, increments, histories, hosts
	@$(BIN)/pytest -q -n 2 --dist loadfile --no-loadscope-reorder -m 'slow and not thorough'

compiled: export DBT_TARGET_PATH := $(SCRATCH)/compiled/target
compiled: export DBT_LOG_PATH := $(SCRATCH)/compiled/logs
compiled: export THROUGHLINE_WORKSPACE := $(SCRATCH)/compiled/workspace
compiled: setup  ## rewrite tests/compiled, the SQL of some models of the demo
	@rm -rf $(SCRATCH)/compiled
	@$(THROUGHLINE) simulate $(DEMO) --out $(THROUGHLINE_WORKSPACE)
	@PATH=$(CURDIR)/$(BIN):$$PATH $(THROUGHLINE) exec -- python tests/python/compiled.py

test-histories: HISTORIES ?= 10000
test-histories: setup  ## builds over HISTORIES delivery histories, each against one from nothing
	@THROUGHLINE_HISTORIES=$(HISTORIES) $(BIN)/pytest -q tests/python/test_histories.py

$(ENGINES)/.installed: requirements.txt tests/engines/requirements.txt pyproject.toml scripts/setup_engines
	@scripts/setup_engines $(ENGINES)
	@touch $@

test-engines: ENGINE_TESTS ?= test
test-engines: $(ENGINES)/.installed  ## a full build and an increment on Postgres and Spark, against DuckDB's
	@$(ENGINES)/bin/python -m pytest -q -rs -m 'not thorough' -k '$(ENGINE_TESTS)' tests/engines

test-spark35: $(SPARK35)/.installed  ## the same on Spark 3.5, with Python 3.11 or earlier
	@PYTHONPATH=$(SPARK35) $(ENGINES)/bin/python -m pytest -q -rs tests/engines -k spark-awkward

$(SPARK35)/.installed: $(ENGINES)/.installed
	@rm -rf $(SPARK35)
	@$(ENGINES)/bin/python -m pip install -qq --no-deps --target $(SPARK35) pyspark==3.5.9 py4j==0.10.9.7
	@touch $@

test-dbt2: setup $(DBT2)/.installed  ## what dbt 2 makes of the project, on Linux with npm
	@PYTHONPATH=tests/python $(BIN)/pytest -q -rs tests/dbt2

$(DBT2)/.installed: tests/dbt2/requirements.txt requirements.txt scripts/setup_dbt2
	@scripts/setup_dbt2 $(DBT2)
	@touch $@

test-simulation: setup  ## error rates and coverage of the lift alone, by simulation
	@$(BIN)/pytest -q -m simulation

test-oracles: $(ORACLES)/.installed  ## lift and quality of models against independent engines and published answers
	@PYTHONPATH=scripts:tests/python $(ORACLES)/bin/python -m pytest -q tests/oracles

$(ORACLES)/.installed: tests/oracles/requirements.txt $(STAMP)
	@rm -rf $(ORACLES)
	@$(BIN)/python -m virtualenv --quiet $(ORACLES)
	@$(ORACLES)/bin/python -m pip install -qq --no-deps -r tests/oracles/requirements.txt
	@touch $@

test-boards: $(BOARDS)/.tested  ## the drawn boards in a browser: whole, legible, equal to the marts
	@BUILT_DEMO=$(wildcard $(SCRATCH)/test/workspace) $(BOARDS)/bin/python -m pytest -q -rs tests/boards

$(BOARDS)/.tested: $(BOARDS)/.installed tests/boards/requirements.txt
	@scripts/setup_boards $(BOARDS) --tests
	@touch $@

$(BOARDS)/.installed: boards/requirements.txt $(STAMP) scripts/setup_boards
	@rm -rf $(BOARDS)
	@scripts/setup_boards $(BOARDS)
	@touch $@

test-bi: export DBT_TARGET_PATH := $(SCRATCH)/test/target
test-bi: export DBT_LOG_PATH := $(SCRATCH)/test/logs
test-bi: export THROUGHLINE_WORKSPACE := $(SCRATCH)/test/workspace
test-bi: setup $(BI)/.installed  ## what Superset and DataHub read of the demo, with a picture in .build/bi
	@[ -e $(THROUGHLINE_WORKSPACE)/published/throughline.duckdb ] || \
		{ $(THROUGHLINE) simulate $(DEMO) --out $(THROUGHLINE_WORKSPACE) && $(THROUGHLINE) build --no-tests; }
	@cp $(THROUGHLINE_WORKSPACE)/published/throughline.duckdb $(BI)/throughline.duckdb
	@$(THROUGHLINE) export superset --uri duckdb:///$(CURDIR)/$(BI)/throughline.duckdb --out $(BI)/superset.zip
	@$(THROUGHLINE) export datahub --out $(BI)/datahub.json
	@$(BI)/bin/python -m pytest -q -rs tests/bi

$(BI)/.installed: tests/bi/requirements.txt $(STAMP) scripts/setup_bi
	@scripts/setup_bi $(BI)
	@touch $@

test-all: test lint-sql test-slow test-simulation test-oracles test-boards test-bi $(ENGINES)/.installed  ## all of these, and more of each: hours
	@$(BIN)/pytest -q -m thorough
	@$(ENGINES)/bin/python -m pytest -q -rs tests/engines
	@$(MAKE) test-dbt2
	@$(MAKE) test-bi
	@$(MAKE) test-histories

example: export DBT_TARGET_PATH := $(SCRATCH)/open_bandit/target
example: export DBT_LOG_PATH := $(SCRATCH)/open_bandit/logs
example: export THROUGHLINE_WORKSPACE := examples/open_bandit
example: setup  ## the same models on a real public log
	@$(THROUGHLINE) build

bench: setup $(ENGINES)/.installed $(ORACLES)/.installed $(EVIDENTLY)/.installed  ## wall time and memory of builds, of a new day, by engine, of lift
	@$(BIN)/python bench/bench.py
	@$(EVIDENTLY)/bin/python bench/by_evidently.py
	@$(BIN)/python bench/increments.py
	@PYTHONPATH=tests/engines $(ENGINES)/bin/python bench/by_engine.py
	@$(BIN)/python bench/lift.py
	@PYTHONPATH=tests/boards $(BIN)/python bench/reading.py

$(EVIDENTLY)/.installed: bench/requirements.txt $(STAMP)
	@rm -rf $(EVIDENTLY)
	@$(BIN)/python -m virtualenv --quiet $(EVIDENTLY)
	@$(EVIDENTLY)/bin/python -m pip install -qq --no-deps -r bench/requirements.txt
	@touch $@

docs: setup  ## the dbt documentation as one page, with lineage
	@$(THROUGHLINE) docs

boards: setup $(BOARDS)/.installed  ## draw the boards of the chosen workspace
	@$(THROUGHLINE) boards

pictures: $(BOARDS)/.tested  ## take the pictures of the README from the drawn boards of the demo
	@$(THROUGHLINE) boards --no-pdf
	@for each in overview:overview:670 model_lead_scoring:model:1440 experiment_offer_taste_features:experiment:690; do \
		IFS=: read -r board picture height <<<"$$each"; \
		chromium --headless=new --no-sandbox --hide-scrollbars --window-size=1300,$$height \
			--screenshot=docs/images/$$picture.png file://$(CURDIR)/workspace/boards/$$board.html 2>/dev/null; done

COMPILE = $(BIN)/uv pip compile --universal --python-version 3.10 --no-annotate --no-header \
	--no-emit-index-url --upgrade --quiet

requirements: setup  ## recompile the pins from requirements.in, the project's and those of other environments
	@$(BIN)/pip install --quiet uv
	@$(COMPILE) pyproject.toml requirements.in --extra metricflow --extra postgres --extra spark --override requirements.override.txt --output-file requirements.txt
	@$(COMPILE) tests/engines/requirements.in --output-file .build/engines.txt
	@grep -vxFf requirements.txt .build/engines.txt > tests/engines/requirements.txt
	@$(COMPILE) tests/oracles/requirements.in --output-file tests/oracles/requirements.txt
	@$(COMPILE) boards/requirements.in --python-version 3.11 --override requirements.override.txt -c requirements.txt \
		--output-file boards/requirements.txt
	@$(COMPILE) tests/boards/requirements.in --python-version 3.11 -c boards/requirements.txt --output-file .build/boards.txt
	@grep -vxFf boards/requirements.txt .build/boards.txt > tests/boards/requirements.txt
	@$(COMPILE) tests/bi/requirements.in --output-file tests/bi/requirements.txt
	@$(COMPILE) bench/requirements.in --output-file bench/requirements.txt
	@echo "requirements.txt: $$(wc -l < requirements.txt) pins"

clean:  ## remove what setup and builds made; never a workspace's raw files
	@rm -rf .venv .build .bootstrap target logs .mypy_cache .ruff_cache .pytest_cache .hypothesis \
		build scripts/*.egg-info
