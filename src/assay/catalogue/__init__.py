"""Records: what is known of public models, each field with its provenance. Never imports torch."""
