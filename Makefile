# `make demo` audits the starter zoo and ends with the report's path; `make test` passes the tests. Both set up .venv first.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed

.PHONY: demo test gate-install docs sbom fuzz fix clean

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

# What the make targets installed, as CycloneDX; the tool that writes it has an environment of its own.
sbom: $(INSTALLED)
	test -x .sbom/bin/cyclonedx-py || ($(PYTHON) -m venv .sbom && .sbom/bin/python -m pip install --quiet cyclonedx-bom==7.5.0)
	.sbom/bin/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible --sv 1.7 --of JSON -o sbom.cdx.json $(BIN)/python

# 5,016 mutated files of every kind that Assay opens, each opened; about five minutes.
fuzz: $(INSTALLED)
	OMP_NUM_THREADS=1 $(BIN)/python -m tools.fuzz --mutations 5016 --keep fuzz-findings --out fuzz.json

fix: $(INSTALLED)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf .venv .sbom .data assay-workspace site

# torch comes first, and pinned: a later package must not choose another build of it.
$(INSTALLED): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch torchvision
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@
