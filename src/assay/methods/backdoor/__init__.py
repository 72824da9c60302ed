"""Backdoors: signs that a small change of any image leads to one class."""
