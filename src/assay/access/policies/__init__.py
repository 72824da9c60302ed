"""Response policies: what a service does to its posteriors before it answers. They compose, in order."""

from assay.access.policies.policy import POLICIES, Policy, parse_policy

__all__ = ["POLICIES", "Policy", "parse_policy"]
