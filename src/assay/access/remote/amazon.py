"""Amazon's services through its own library: credentials by its own chain, requests signed, failures translated."""

from __future__ import annotations

import re
from typing import Any, ClassVar

from typing_extensions import override

from assay.access.remote.address import Address, check_url, is_loopback
from assay.access.remote.failures import DeniedError, LostError, kept
from assay.access.remote.service import Service
from assay.base.errors import AccessError, TransientError, UsageError

BUSY = (
    "ProvisionedThroughputExceededException",
    "ThrottlingException",
    "TooManyRequestsException",
    "LimitExceededException",
    "RequestLimitExceeded",
    "ServiceUnavailable",
)
DENIED = (
    "AccessDeniedException",
    "UnrecognizedClientException",
    "InvalidSignatureException",
    "ExpiredTokenException",
    "IncompleteSignature",
    "MissingAuthenticationToken",
    "NotAuthorized",
    "SubscriptionRequiredException",
)


class AmazonService(Service):
    """A service of a region, such as ``us-east-1``. Amazon's library tries once: retries are this package's."""

    credentials: ClassVar[tuple[str, ...]] = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY, or Amazon's other ways")
    options: ClassVar[dict[str, str]] = {"endpoint": "another base address"}
    api: ClassVar[str]

    def __init__(self, address: Address) -> None:
        super().__init__(address)
        if not re.fullmatch(r"[a-z]{2}(-[a-z]+)+-\d", address.place):
            raise UsageError(f"{address.shown} is not understood: name a region, as in {self.example}.")
        self._endpoint = address.options.get("endpoint")
        if self._endpoint is not None:
            check_url(self._endpoint)
        self._made: Any = None

    @property
    @override
    def url(self) -> str:
        return self._endpoint or f"https://{self.api}.{self.address.place}.amazonaws.com"

    def connect(self) -> None:
        """Make Amazon's client; nothing is sent.

        Raises:
            UsageError: if boto3 is not installed.
        """
        try:
            import boto3
            from botocore.config import Config
        except ImportError:
            raise UsageError(f"{self.title} is asked through boto3: pip install 'modelassay[aws]'.") from None
        proxies: dict[str, Any] = {"proxies": {}} if is_loopback(self.url) else {}
        config = Config(retries={"total_max_attempts": 1}, connect_timeout=10, read_timeout=60, **proxies)
        session = boto3.Session(region_name=self.address.place)
        self._made = session.client(self.api, endpoint_url=self.url, config=config)

    def call(self, operation: str, **parameters: Any) -> dict[str, Any]:
        """One request.

        Raises:
            AccessError: as `assay.access.remote.http.Line.send` does.
        """
        from botocore import exceptions
        from botocore.parsers import ResponseParserError

        who = self.address.shown
        try:
            answer: dict[str, Any] = getattr(self._made, operation)(**parameters)
            return answer
        except exceptions.ClientError as error:
            raise self._failure(error.response) from error
        except (exceptions.NoCredentialsError, exceptions.PartialCredentialsError) as error:
            raise DeniedError(f"{self.title} needs credentials: {error}.") from error
        except exceptions.SSLError as error:
            raise AccessError(f"{who} cannot prove who it is ({error}); nothing was sent.") from error
        except (exceptions.EndpointConnectionError, exceptions.ConnectTimeoutError) as error:
            raise TransientError(f"{who} cannot be reached: {error}") from error
        except (exceptions.HTTPClientError, ResponseParserError) as error:
            raise LostError(f"the answer of {who} got lost: {error}") from error
        except exceptions.BotoCoreError as error:
            raise AccessError(f"{who} was not asked: {' '.join(str(error).split())}.") from error

    def _failure(self, response: Any) -> Exception:
        code, said = response["Error"].get("Code", ""), response["Error"].get("Message", "")
        status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 400)
        if code in DENIED or status in (401, 403):
            return DeniedError(kept(f"{self.address.shown} refuses the credentials ({code}: {said})"))
        if code in BUSY or status in (429, 503):
            return TransientError(f"{self.address.shown} is busy ({code})")
        if status >= 500:
            return LostError(f"{self.address.shown} failed ({code or status})")
        return AccessError(f"{self.address.shown} refused the request ({code}: {said}).")
