"""Evidence that others can check: signed statements of what was measured, and the forms that auditors read.

`statement` says what was measured of which files by which build, `envelope` signs it (DSSE), `verify` holds it against
files, data, reports and builds, offline. `bundle` writes a report as `bom` (CycloneDX) and in the smaller `forms`.
`replay` holds a number that was measured again against the first. Nothing here needs torch, and only signatures need
``cryptography``.
"""
