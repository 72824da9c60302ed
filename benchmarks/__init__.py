"""Long measurements: each module is one command, run from the root as ``python -m benchmarks.FOLDER.NAME``."""
