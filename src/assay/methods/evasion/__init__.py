"""Evasion: how small a change of an image makes the model err."""
