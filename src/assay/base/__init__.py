"""What every room stands on: errors, digests, registries, intervals and progress. Imports nothing of Assay."""
