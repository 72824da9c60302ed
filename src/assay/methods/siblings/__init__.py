"""Siblings: efficient versions of a model that are published, and what they give away about it.

`assay.compression` makes them, `similarity` compares a pair, `risk` attacks the model with its sibling in hand,
`unpair` trains a sibling that gives less away, and `leakage` infers membership from all versions together.
"""
