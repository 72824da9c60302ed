"""How much a method may see of a target: the threat model as a type.

`Oracle` answers questions under a budget, through the service's response policies; `WhiteBox` shows the network;
`Published` shows that of another model, such as a sibling of the target that runs on devices.
`recorded` holds answers that services gave in the past. Every question is counted by a `Ledger`, and every answer of
the network is kept in a `PosteriorStore`.
"""

from typing import TYPE_CHECKING

from assay.base.lazy import lazily

if TYPE_CHECKING:
    from assay.access.ledger import Ledger, Spent
    from assay.access.oracle import Answers, Oracle
    from assay.access.serving import Output, Serving
    from assay.access.store import PosteriorStore
    from assay.access.whitebox import Published, WhiteBox

# Outcomes name `Spent`, and are read where torch is not installed.
__getattr__ = lazily(
    __name__,
    {
        "Answers": "assay.access.oracle",
        "Ledger": "assay.access.ledger",
        "Oracle": "assay.access.oracle",
        "Output": "assay.access.serving",
        "PosteriorStore": "assay.access.store",
        "Published": "assay.access.whitebox",
        "Serving": "assay.access.serving",
        "Spent": "assay.access.ledger",
        "WhiteBox": "assay.access.whitebox",
    },
)

__all__ = ["Answers", "Ledger", "Oracle", "Output", "PosteriorStore", "Published", "Serving", "Spent", "WhiteBox"]
