# Two commands on a fresh machine: `make demo` and `make test`. Both make .venv themselves.
PYTHON ?= python3.11
TORCH ?= torch==2.13.0
BIN := .venv/bin

.PHONY: demo test coverage check docs browser clean

demo: .venv/installed
	$(BIN)/hale demo --out demo --overwrite

# A core per worker: two workers of two threads each wait for one another, ten times as long.
test coverage: export OMP_NUM_THREADS = 1
test coverage: export ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS = 1
test: check browser
	$(BIN)/python -m pytest -n auto --dist loadfile

# The same tests a quarter slower; fails where too little of the code is run.
coverage: browser
	$(BIN)/python -m pytest -n auto --dist loadfile --cov --cov-report=term:skip-covered

check: .venv/installed docs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: .venv/installed
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

# What tests of pages need: a browser on the path, or Playwright's own.
browser: .venv/installed
	@for name in chromium chromium-browser google-chrome; do \
		command -v $$name >/dev/null && exit 0; \
	done; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		apt-get update -qq >/dev/null && \
		DEBIAN_FRONTEND=noninteractive apt-get install -qq -y chromium >/dev/null && exit 0; \
	fi; \
	$(BIN)/playwright install chromium >/dev/null

.venv/installed: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet "$(TORCH)"
	$(BIN)/python -m pip install --quiet -e ".[dev]"
	touch $@

clean:
	rm -rf .venv demo site
