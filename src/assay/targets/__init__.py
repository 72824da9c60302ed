"""Models made ready to be assessed: references, weights fetched and opened safely, architectures, data sets, splits.

`reference.load_target` turns a reference into a `target.Target`, which every method is given.
"""
