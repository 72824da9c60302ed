from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from assay.base.errors import LoadError, UsageError
from assay.cli import main
from assay.server.keys import KeyFile


@pytest.fixture
def file(tmp_path: Path) -> KeyFile:
    return KeyFile(tmp_path / "deep" / "keys.json")


def test_a_token_is_kept_as_its_digest_only(file: KeyFile) -> None:
    key, token = file.add("alice", budget=5, price_per_1000=1.5, rate=2.0)
    text = file.path.read_text()
    assert token not in text
    assert hashlib.sha256(token.encode()).hexdigest() in text
    assert len(token) == len("assay_") + 43  # 256 bits in base 64
    assert file.path.stat().st_mode & 0o777 == 0o600
    assert file.find(token) == key
    assert "sha256" not in repr(key)


def test_wrong_tokens_open_nothing(file: KeyFile) -> None:
    _, token = file.add("alice")
    for wrong in ("", token[:-1], token + "x", token.upper(), "tökén"):
        assert file.find(wrong) is None


def test_another_process_revokes_and_adds(file: KeyFile) -> None:
    _, token = file.add("alice")
    other = KeyFile(file.path)
    assert file.find(token) is not None
    assert other.revoke("alice").revoked is not None
    assert file.find(token) is None
    key, fresh = other.add("alice")
    found = file.find(fresh)
    assert found is not None
    assert found.id == key.id
    assert [known.name for known in file.read()] == ["alice", "alice"]


def test_names_are_taken_once(file: KeyFile) -> None:
    file.add("alice")
    with pytest.raises(UsageError, match="There is a key 'alice' already"):
        file.add("alice")
    with pytest.raises(UsageError, match="no key 'alicia' in force: did you mean 'alice'"):
        file.revoke("alicia")
    with pytest.raises(UsageError, match="budget"):
        file.add("bob", budget=0)
    assert [key.name for key in file.read()] == ["alice"]


def test_damaged_files_open_nothing(file: KeyFile) -> None:
    _, token = file.add("alice")
    file.path.write_text(file.path.read_text().replace('"id"', '"identity"'))
    with pytest.raises(LoadError, match=r"is no file of keys: keys\.0\."):
        file.find(token)
    file.path.unlink()
    with pytest.raises(LoadError, match="cannot be read"):
        file.find(token)


def test_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state = ["--state", str(tmp_path)]
    assert main(["serve", "keys", "add", "alice", "--budget", "100", "--price", "1.5", *state]) == 0
    token = capsys.readouterr().out.strip()
    key = KeyFile(tmp_path / "keys.json").find(token)
    assert key is not None
    assert (key.budget, key.price_per_1000, key.scope) == (100, 1.5, "ask")
    assert main(["serve", "keys", "list", *state]) == 0
    listed = capsys.readouterr().out
    assert "alice" in listed
    assert token not in listed
    assert main(["serve", "keys", "revoke", "alice", *state]) == 0
    assert KeyFile(tmp_path / "keys.json").find(token) is None
    assert main(["serve", "keys", "revoke", "alice", *state]) == 4
    assert main(["serve", "keys", "list", "--keys", str(tmp_path / "none.json")]) == 2
    assert "assay serve keys add makes one" in " ".join(capsys.readouterr().err.split())
    assert json.loads((tmp_path / "keys.json").read_text())["keys"][0]["revoked"]
