"""Fuzzing of every file that Assay opens: `python -m tools.fuzz --help`."""
