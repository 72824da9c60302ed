"""A workspace and the catalogue as pages to look through: one static folder that opens from a file system.

`export.Exporter` reads a workspace, also one that a study is writing to, and keeps the folder up to date;
`serve.serve` does so again and again and shows it on this machine. What readers see is drawn by the scripts in
``page/`` from the files in ``data/``, which hold numbers as texts in their final spelling; `folder` says how.
"""
