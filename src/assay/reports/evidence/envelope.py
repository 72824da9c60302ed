"""DSSE envelopes with Ed25519: https://github.com/secure-systems-lab/dsse, protocol 1.0.2."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assay.base.errors import AssayError, LoadError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

PAYLOAD_TYPE = "application/vnd.in-toto+json"


class VerificationError(AssayError):
    """A statement does not hold: its signature, or something that it speaks of, is another."""

    exit_code = 1


def encoded(payload: bytes) -> bytes:
    """What is signed: DSSE's pre-authentication encoding of a payload."""
    kind = PAYLOAD_TYPE.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


def seal(statement: dict[str, Any], key: Ed25519PrivateKey) -> dict[str, Any]:
    """The envelope of a statement, signed."""
    payload = json.dumps(statement, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    signature = {"keyid": key_id(key.public_key()), "sig": base64.b64encode(key.sign(encoded(payload))).decode()}
    return {
        "payloadType": PAYLOAD_TYPE,
        "payload": base64.b64encode(payload).decode(),
        "signatures": [signature],
    }


def read_envelope(path: Path) -> tuple[dict[str, Any], bytes, list[dict[str, str]]]:
    """An envelope's statement, the bytes that were signed, and its signatures; nothing is verified.

    Raises:
        LoadError: if it cannot be read, or is not the envelope of an in-toto statement.
    """
    try:
        found = json.loads(path.read_bytes())
        if found["payloadType"] != PAYLOAD_TYPE:
            raise LoadError(f"{path} holds {found['payloadType']!r}, not an in-toto statement.")
        payload = base64.b64decode(found["payload"], validate=True)
        signatures = [{"keyid": str(one.get("keyid", "")), "sig": str(one["sig"])} for one in found["signatures"]]
        statement = json.loads(payload)
        if not isinstance(statement, dict):
            raise TypeError
    except OSError as error:
        raise LoadError(f"The statement {path} cannot be read: {error.strerror}.") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, binascii.Error):
        raise LoadError(f"{path} is not a signed statement: it is damaged, or no DSSE envelope.") from None
    return statement, payload, signatures


def check_signature(path: Path, payload: bytes, signatures: list[dict[str, str]], key: Path) -> str:
    """Verify that a key signed a payload, and return the key's id.

    Raises:
        VerificationError: if it did not, or the key is a certificate that has expired.
        LoadError: if the key cannot be read.
    """
    from cryptography.exceptions import InvalidSignature

    public = read_public(key)
    named = key_id(public)
    mine = [one for one in signatures if one["keyid"] in ("", named)]
    if not mine:
        known = ", ".join(one["keyid"][:12] for one in signatures) or "nobody"
        raise VerificationError(f"{path} is not signed by this key ({named[:12]}), but by {known}.")
    for one in mine:
        try:
            public.verify(base64.b64decode(one["sig"], validate=True), encoded(payload))
        except (InvalidSignature, ValueError):
            continue
        return named
    raise VerificationError(f"The signature of {path} is wrong: the statement was changed after it was signed.")


def key_id(key: Ed25519PublicKey) -> str:
    """The SHA-256 of a public key's DER form (SubjectPublicKeyInfo)."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def read_private(path: Path) -> Ed25519PrivateKey:
    """A private key from a PEM file without a password.

    Raises:
        LoadError: if it cannot be read, or is another kind of key.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(_read(path), None)
    except (ValueError, TypeError) as error:
        raise LoadError(f"The key {path} is not a private key in PEM without a password.") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise LoadError(f"The key {path} is not an Ed25519 key: make one with openssl genpkey -algorithm ed25519.")
    return key


def read_public(path: Path) -> Ed25519PublicKey:
    """A public key from a PEM file, or the key of an X.509 certificate that has not expired.

    Raises:
        LoadError: if it cannot be read, or is another kind of key.
        VerificationError: if the certificate has expired, or is not valid yet.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key
    from cryptography.x509 import load_pem_x509_certificate

    content = _read(path)
    try:
        if b"BEGIN CERTIFICATE" in content:
            certificate = load_pem_x509_certificate(content)
            first, last = certificate.not_valid_before_utc, certificate.not_valid_after_utc
            if not first <= datetime.now(UTC) <= last:
                raise VerificationError(
                    f"The certificate {path} is valid from {first:%Y-%m-%d} to {last:%Y-%m-%d} only."
                )
            key: object = certificate.public_key()
        else:
            key = load_pem_public_key(content)
    except ValueError as error:
        raise LoadError(f"The key {path} is neither a public key nor a certificate in PEM.") from error
    if not isinstance(key, Ed25519PublicKey):
        raise LoadError(f"The key {path} is not an Ed25519 key.")
    return key


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise LoadError(f"The key {path} cannot be read: {error.strerror}.") from error
