"""Labelled images and texts: data sets, file formats, and splits into members, non-members and auxiliary data."""
