"""Signed statements: what holds, what one changed byte does, and a verifier made of public tools alone."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Callable
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from assay.base.errors import AssayError
from assay.cli import main
from assay.reports.evidence.envelope import read_private, seal
from assay.reports.evidence.statement import build_digest
from assay.reports.evidence.verify import verify
from assay.reports.report import assemble, write_json
from reports.samples import outcome, target

pytest.importorskip("cryptography")
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_public_key,
)

CHANGES = 40
"""Changed bytes of each of the five kinds: 200 in all."""


class Signed(NamedTuple):
    """A folder with key pair, weights, data, report, statement and salt."""

    folder: Path

    def __getattr__(self, name: str) -> Path:
        names = {"statement": "s.json", "salt": "s.json.salt", "report": "report.json"}
        return self.folder / names.get(name, name)

    def all_of_it(self, package: Path | None = None, key: str = "pub") -> bool:
        """Whether everything holds."""
        try:
            verify(
                self.statement,
                key=self.folder / key,
                weights=[self.weights],
                data=[self.data],
                report=self.report,
                salt=self.salt,
                package=package,
            )
        except AssayError:
            return False
        return True


def write_keys(folder: Path, name: str = "") -> None:
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / f"{name}key").write_bytes(pem)
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (folder / f"{name}pub").write_bytes(public)


@pytest.fixture
def signed(tmp_path: Path) -> Signed:
    rng = np.random.default_rng(0)
    (tmp_path / "weights").write_bytes(rng.bytes(500))
    (tmp_path / "data").write_bytes(rng.bytes(500))
    write_keys(tmp_path)
    outcomes = [outcome("evasion", "FGSM", facts=target()), outcome("membership", "LiRA", facts=target(), seed=3)]
    write_json(assemble(outcomes), tmp_path / "report.json")
    one = Signed(tmp_path)
    options = ["--weights", str(one.weights), "--data", str(one.data), "--out", str(one.statement)]
    assert main(["attest", str(one.report), "--key", str(one.key), *options]) == 0
    return one


def flipped(file: Path, rng: np.random.Generator) -> Callable[[], None]:
    """Change one bit of a file; returns what undoes it."""
    before = file.read_bytes()
    content = bytearray(before)
    content[rng.integers(len(content))] ^= 1 << int(rng.integers(8))
    file.write_bytes(bytes(content))
    return lambda: [file.write_bytes(before), None][1]


def another(report: Path, where: Callable[[Any], list[tuple[Any, Any]]], rng: np.random.Generator) -> None:
    """Change one of the numbers or options of a report: those that ``where`` names as (holder, key)."""
    content = json.loads(report.read_text())
    places = [(holder, key) for one in content["outcomes"] for holder, key in where(one)]
    holder, key = places[rng.integers(len(places))]
    value = holder[key]
    holder[key] = (
        not value if isinstance(value, bool) else value + 1 if isinstance(value, int) else value * (1 + 2**-50)
    )
    assert holder[key] != value
    report.write_text(json.dumps(content))


def numbers(one: Any) -> list[tuple[Any, Any]]:
    return [place for metric in one["metrics"] for place in ((metric, "value"), (metric["interval"], "low"))]


def options(one: Any) -> list[tuple[Any, Any]]:
    held = one["method"]["options"]
    return [(held, "epsilon"), (held, "steps"), (held, "targeted"), (held["recipe"], "epochs"), (one, "seed")]


def test_one_changed_byte_is_found_200_times_of_200(signed: Signed, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    package = tmp_path / "package"
    (package / "room").mkdir(parents=True)
    (package / "room" / "code.py").write_bytes(rng.bytes(300))
    statement = json.loads(base64.b64decode(json.loads(signed.statement.read_text())["payload"]))
    statement["predicate"]["build"]["sha256"] = build_digest(package)
    signed.statement.write_text(json.dumps(seal(statement, read_private(signed.key))))
    assert signed.all_of_it(package)
    report, found = signed.report.read_text(), 0
    for _ in range(CHANGES):
        for file in (signed.weights, signed.data, package / "room" / "code.py"):
            undo = flipped(file, rng)
            found += not signed.all_of_it(package)
            undo()
        for where in (numbers, options):
            another(signed.report, where, rng)
            found += not signed.all_of_it(package)
            signed.report.write_text(report)
    assert signed.all_of_it(package), "all was put back"
    assert found == 5 * CHANGES


def publicly(envelope: dict[str, Any], public: bytes) -> bool:
    """Whether an envelope holds, by DSSE's text and the library ``cryptography`` alone."""
    try:
        key = load_pem_public_key(public)
        assert isinstance(key, Ed25519PublicKey)
        body, kind = base64.b64decode(envelope["payload"], validate=True), envelope["payloadType"].encode()
        message = b" ".join([b"DSSEv1", str(len(kind)).encode(), kind, str(len(body)).encode(), body])
        key.verify(base64.b64decode(envelope["signatures"][0]["sig"], validate=True), message)
    except (InvalidSignature, ValueError, KeyError):
        return False
    return True


def test_a_verifier_of_public_tools_accepts_and_refuses_the_same(signed: Signed) -> None:
    write_keys(signed.folder, "other")
    good = json.loads(signed.statement.read_text())
    rng = np.random.default_rng(2)
    accepted = 0
    for trial in range(60):
        envelope = deepcopy(good)
        if trial % 3 == 1:  # a byte of the statement
            body = bytearray(base64.b64decode(envelope["payload"]))
            place = int(rng.integers(len(body)))
            body[place] = (body[place] + 1) % 128
            envelope["payload"] = base64.b64encode(bytes(body)).decode()
        elif trial % 3 == 2:  # a byte of the signature
            raw = bytearray(base64.b64decode(envelope["signatures"][0]["sig"]))
            raw[rng.integers(len(raw))] ^= 1
            envelope["signatures"][0]["sig"] = base64.b64encode(bytes(raw)).decode()
        signed.statement.write_text(json.dumps(envelope))
        for key in ("pub", "otherpub"):
            ours = signed.all_of_it(key=key)
            assert ours == publicly(envelope, (signed.folder / key).read_bytes()), (trial, key)
            accepted += ours
    assert accepted == 20


@pytest.mark.parametrize("name", ["summary", "answers", "decisions"])
def test_what_is_read_from_the_numbers_is_signed_too(signed: Signed, name: str) -> None:
    content = json.loads(signed.report.read_text())
    content[name] = "Fine." if name == "summary" else content[name][1:]
    signed.report.write_text(json.dumps(content))
    assert not signed.all_of_it()


def test_what_holds_is_said(signed: Signed, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["verify", str(signed.statement), "--key", str(signed.pub), "--build", "--salt", str(signed.salt)]
    files = ["--weights", str(signed.weights), "--data", str(signed.data), "--report", str(signed.report)]
    assert main([*command, *files]) == 0
    out = capsys.readouterr().out
    assert out.count("holds ") == 6
    assert "not checked" not in out
    assert main(["verify", str(signed.statement)]) == 3
    assert "The signature: name the signer's public key" in capsys.readouterr().out
    assert signed.salt.stat().st_mode & 0o077 == 0


def test_the_commitment_hides_the_data(signed: Signed) -> None:
    payload = base64.b64decode(json.loads(signed.statement.read_text())["payload"]).decode()
    for part in target().data.values():
        assert part.digest not in payload
    assert signed.salt.read_text().strip() not in payload


def resigned(signed: Signed, change: Callable[[dict[str, Any]], object]) -> None:
    statement = json.loads(base64.b64decode(json.loads(signed.statement.read_text())["payload"]))
    change(statement)
    signed.statement.write_text(json.dumps(seal(statement, read_private(signed.key))))


def soon(**ahead: float) -> str:
    return (datetime.now(UTC) + timedelta(**ahead)).isoformat()


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        (lambda s: s.update(predicateType="urn:modelassay:assessment:2"), "newer than 1: update Assay"),
        (lambda s: s.update(predicateType="https://slsa.dev/provenance/v1"), "no statement of an assessment"),
        (lambda s: s["predicate"].update(expires=soon(days=-1)), "has expired"),
        (lambda s: s["predicate"].update(created=soon(days=2)), "in the future: check the clock"),
        (lambda s: s["predicate"].pop("created"), "does not say when"),
        (lambda s: s["predicate"].pop("build"), "lacks what its schema demands"),
    ],
)
def test_a_statement_that_cannot_hold_is_one_sentence(
    signed: Signed, change: Callable[[dict[str, Any]], object], wanted: str, capsys: pytest.CaptureFixture[str]
) -> None:
    resigned(signed, change)
    assert main(["verify", str(signed.statement), "--key", str(signed.pub)]) in (1, 2)
    error = capsys.readouterr().err
    assert wanted in error
    assert error.count("\n") == 1


def test_keys_that_are_wrong(signed: Signed, capsys: pytest.CaptureFixture[str]) -> None:
    write_keys(signed.folder, "other")
    command = ["verify", str(signed.statement), "--key"]
    assert main([*command, str(signed.folder / "otherpub")]) == 1
    assert "is not signed by this key" in capsys.readouterr().err
    assert main([*command, str(signed.weights)]) == 2
    assert "neither a public key nor a certificate" in capsys.readouterr().err
    assert main(["attest", str(signed.report), "--key", str(signed.pub)]) == 2
    assert "not a private key" in capsys.readouterr().err


@pytest.mark.parametrize(("until", "code"), [(1, 0), (-1, 1)])
def test_a_certificate_is_a_key_until_it_expires(
    signed: Signed, until: int, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    key = read_private(signed.key)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "signer")])
    made = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    made = made.not_valid_before(datetime.now(UTC) - timedelta(days=2))
    certificate = made.not_valid_after(datetime.now(UTC) + timedelta(days=until)).sign(key, None)
    file = signed.folder / "certificate.pem"
    file.write_bytes(certificate.public_bytes(Encoding.PEM))
    assert main(["verify", str(signed.statement), "--key", str(file)]) == code
    assert ("is valid from" in capsys.readouterr().err) == (code == 1)


def test_a_statement_of_another_file_is_refused(signed: Signed, capsys: pytest.CaptureFixture[str]) -> None:
    other = signed.folder / "other.safetensors"
    other.write_bytes(b"other")
    assert main(["verify", str(signed.statement), "--key", str(signed.pub), "--weights", str(other)]) == 1
    assert "no such file was measured" in capsys.readouterr().err
    facts = target().model_copy(update={"facts": {"sha256": "ab" * 32}})
    write_json(assemble([outcome("evasion", "FGSM", facts=facts)]), signed.report)
    assert main(["attest", str(signed.report), "--key", str(signed.key), "--weights", str(other)]) == 4
    assert "None of these files is the one that was measured" in capsys.readouterr().err


RUN = """
import resource, sys
for name in ("torch", "torchvision", "timm", "sklearn", "pandas", "duckdb", "numpy", "scipy"):
    sys.modules[name] = None
from assay.cli import main
code = main(sys.argv[1:])
used = resource.getrusage(resource.RUSAGE_SELF)
print(code, used.ru_utime + used.ru_stime, file=sys.stderr)
"""


def test_verification_is_quick_and_needs_no_library_of_models(signed: Signed) -> None:
    command = ["verify", str(signed.statement), "--key", str(signed.pub), "--weights", str(signed.weights)]
    seconds = []
    for _ in range(5):
        done = subprocess.run([sys.executable, "-c", RUN, *command], capture_output=True, text=True, check=True)
        code, used = done.stderr.split()[-2:]
        assert code == "0"
        seconds.append(float(used))
    assert min(seconds) < 0.6
