"""The gate: one verdict on a result by a policy, for continuous integration.

`policy.read_policy` reads the rules, `check.check` holds them against results, and against those of a baseline;
`profile.read_profile` reads a standard's requirements, and `evaluate.evaluate` says which are met. `junit`, `sarif` and
`markdown` write what came out for machines and for people. `difference` has the statistics.
"""
