"""Pages, tables and pictures of what was analysed: each module turns one result of `assay.analysis` into a view."""
