"""Prediction services as targets: asked over the network, each question written down before it leaves.

`open_target` makes a `Target` of a reference such as ``http://127.0.0.1:8000`` or ``amazon-rekognition:REGION``.
``services/`` has one file for each service, a pure request builder and a pure response parser; `client.Client` batches,
retries and keeps the books (`receipts.Receipts`), so that no question is charged twice or lost.
"""

from assay.access.opening import Terms, is_service, open_target
from assay.access.remote.service import SERVICES, Service

__all__ = ["SERVICES", "Service", "Terms", "is_service", "open_target"]
