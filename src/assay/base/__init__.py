"""Errors, digests, registries, intervals and progress, used by every other room; imports no other room."""
