"""Stealing: how good a copy can be had for how many questions."""
