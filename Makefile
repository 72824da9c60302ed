# `make demo` audits the starter zoo and ends with the report's path; `make test` passes the tests. Both set up .venv first.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed

.PHONY: demo test gate-install docs fix clean

demo: $(INSTALLED)
	$(BIN)/assay audit 'starter/*' --workspace assay-workspace

test: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist worksteal

# Installs the gate alone into a fresh environment, and runs it there without torch.
gate-install: $(INSTALLED)
	ASSAY_REGISTRY=1 $(BIN)/pytest tests/test_gate_install.py

# The site, for any web server; from the file system it opens without its search.
docs: $(INSTALLED)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

fix: $(INSTALLED)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf .venv .data assay-workspace site

# torch comes first, and pinned: a later package must not choose another build of it.
$(INSTALLED): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch torchvision
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@
