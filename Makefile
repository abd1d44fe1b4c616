# make demo    set up, then the whole story on bundled data: train, export, node, deploy, index, search, report
# make test    set up, then all tests; the embedded OpenSearch node is used where a JDK >= 21 and Maven are
# make lint    ruff and mypy
# make bench   the figures in the documents, measured anew
# make prepare SOURCE=… OUT=…   real Korean data to collections with negatives (docs/data/README.md)
# make bench-bm25 SOURCE=…     BM25 against rank-bm25 on a collection
# make report COLLECTIONS="DIR …" MODEL="DIR …" [DENSE="DIR …"] [BM25="NAME=ROWS …"] [BENCHMARKS="DIR …"] [SPLIT=dev] [SYNONYMS=FILE]   docs/EVALUATION_REPORT.md, measured anew
# make setup   the environment alone, in .venv

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/ready

.PHONY: demo test lint bench bench-bm25 report prepare setup clean

demo: setup
	$(BIN)/sparse-ko demo

test: setup
	$(BIN)/python -m pytest

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: setup
	$(BIN)/python scripts/bench.py

bench-bm25: setup
	$(BIN)/python scripts/bench_bm25.py $(SOURCE) --passages 50000 --queries 200 --repeats 3

report: setup
	$(BIN)/python scripts/report.py $(foreach one,$(COLLECTIONS),--collection $(one)) $(foreach one,$(MODEL),--model $(one)) \
		$(foreach one,$(DENSE),--dense $(one)) \
		$(foreach one,$(BM25),--bm25 $(one)) $(foreach one,$(BENCHMARKS),--benchmark $(one)) \
		--split $(or $(SPLIT),dev) $(if $(SYNONYMS),--synonyms $(SYNONYMS))

prepare: setup
	scripts/prepare_all.sh $(SOURCE) $(OUT)

setup: $(READY)

# uv where it is there, pip otherwise; the tested versions stand in constraints.txt
$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; name one: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@if command -v uv >/dev/null 2>&1; then \
		uv venv --quiet --allow-existing --python $(PYTHON) .venv && \
		uv pip install --python $(BIN)/python --constraint constraints.txt --editable '.[all,test]'; \
	else \
		$(PYTHON) -m venv .venv && \
		$(BIN)/python -m pip install --disable-pip-version-check --progress-bar on --constraint constraints.txt --editable '.[all,test]'; \
	fi
	@touch $(READY)

clean:
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
