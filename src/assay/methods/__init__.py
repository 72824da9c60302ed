"""Attacks, detectors and defences, one file each, found by themselves.

A method declares its options and the access it needs (`assay.methods.method`), is given a target's access, its data and
a context, and hands back a finding (`assay.methods.finding`): metrics with intervals, pictures as data, a verdict.
"""
