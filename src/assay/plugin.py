"""What a method of another package needs, in one place.

A plug-in is a package with one module that registers a method, and an entry point that names the module:

    [project.entry-points."assay.methods"]
    mine = "my_package.my_attack"

Its method then appears in ``assay methods`` and runs, is stored, reported, compared and gated like any other. The
shortest attack with the network in hand derives from a base that draws the images, runs it and accounts for it:

    from assay.plugin import About, MinimumNorm, WhiteBox, method

    @method
    class Blacken(MinimumNorm):
        \"\"\"Makes the whole image black.\"\"\"

        name = "evasion.blacken"
        about = About("Blacken", "Makes the image black; how far that is.", "Nobody, 2026")
        presets = {"standard": {}}

        def attack(self, box: WhiteBox, images, labels, generator):
            return images * 0.0

`MinimumNorm` is for attacks that look for the nearest misclassified image, `FixedEpsilon` for those that are given a
size. A method of another kind derives from `OracleMethod` (it asks questions) or `WhiteBoxMethod` (it has the network),
and implements ``measure`` and ``account``. Options are pydantic fields with a default and a description.
"""

from assay.access import Oracle, WhiteBox
from assay.methods.about import About
from assay.methods.evasion.ball import Ball
from assay.methods.evasion.fixed_epsilon import FixedEpsilon
from assay.methods.evasion.minimum_norm import MinimumNorm
from assay.methods.finding import Finding, Interval, Lines, Metric, Samples, Scale, Series, Table, Verdict
from assay.methods.method import Context, Method, OracleMethod, WhiteBoxMethod, method
from assay.methods.work import Sizes, Work

__all__ = [
    "About",
    "Ball",
    "Context",
    "Finding",
    "FixedEpsilon",
    "Interval",
    "Lines",
    "Method",
    "Metric",
    "MinimumNorm",
    "Oracle",
    "OracleMethod",
    "Samples",
    "Scale",
    "Series",
    "Sizes",
    "Table",
    "Verdict",
    "WhiteBox",
    "WhiteBoxMethod",
    "Work",
    "method",
]
