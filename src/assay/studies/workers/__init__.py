"""Where the units of a study run: processes of this machine, or Ray. Both do the same `assay.studies.work.run_job`."""
