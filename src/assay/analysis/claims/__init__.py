"""The ledger of published claims: what four papers say, how it is decided, and what the evidence makes of it.

`load_claims` gives every claim with its verdict, computed from the packaged evidence by the rule that its file names.
"""

from assay.analysis.claims.claim import Checked, Claim, load_claims

__all__ = ["Checked", "Claim", "load_claims"]
