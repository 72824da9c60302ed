"""Serve a target as a prediction service, over the Open Inference Protocol.

A request's way: `connection` (time and number) -> `app` (routes) -> `clients` (keys, rates) -> `protocol` or `uploads`
(images) -> `service` (the oracle, in a thread) -> `journal` (charged and kept before the answer leaves). Beside it:
`watch` (stealing detectors), `metrics`, `log`. `running` makes a process of it.
"""
