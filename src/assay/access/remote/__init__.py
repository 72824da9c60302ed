"""Prediction services, asked over the network: each question is written down before it leaves.

`assay.access.opening.open_target` makes a `Target` of a reference such as ``http://127.0.0.1:8000`` or
``amazon-rekognition:REGION``. ``services/`` has one file for each service, a pure request builder and a pure response
parser; `client.Client` batches, retries and keeps the books (`write_ahead.Receipts`), so that no question is charged
twice or lost.
"""

from assay.access.remote.service import SERVICES, Service

__all__ = ["SERVICES", "Service"]
