"""Models ready to be assessed: references, safe download and loading of weights, architectures.

`reference.load_target` turns a reference into a `target.Target`, which every method is given.
"""
