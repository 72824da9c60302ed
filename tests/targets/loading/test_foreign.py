"""Model files of other tools are named, with a conversion that works."""

from __future__ import annotations

import gzip
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import joblib
import numpy as np
import pytest
import torch
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from assay.base.errors import AssayError, UnsafeFileError
from assay.targets.loading import load_network, sniff
from assay.targets.reference import load_target, open_model


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        ("m.gguf", b"GGUF\x03\0\0\0", "a GGUF file: those are language models"),
        ("m.cbm", b"CBM1\0\0", r"a CatBoost model: export it .*load_model\('m.cbm'\)"),
        ("m.txt", b"tree\nversion=v4\n", r"a LightGBM model: convert it .*model_file='m.txt'"),
        ("m.json", b'{"learner":{"attributes":{}}}', r"an XGBoost model: convert it .*load_model\('m.json'\)"),
        ("m.ubj", b"{L\0\0\0\0\0\0\0\x07learner{", "an XGBoost model"),
        ("m.mlmodel", b"\x08\x05", "a Core ML model"),
        ("m.engine", b"ftrt", "a TensorRT engine"),
        ("m.mar", b"PK\x05\x06" + bytes(18), "a TorchServe archive: unpack it with `unzip m.mar`"),
        ("m.onnx.data", bytes(64), "external data of an ONNX file: name the .onnx file"),
        ("m.joblib", gzip.compress(b"x"), "a compressed pickle"),
        ("m.tar.gz", gzip.compress(b"x"), "an archive: unpack it with `tar -xf m.tar.gz`"),
        ("m.xyz", b"no model", "not a model file that Assay knows"),
    ],
)
def test_it_is_named(tmp_path: Path, name: str, content: bytes, what: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(AssayError, match=what):
        load_target(str(tmp_path / name), data="digits")


def test_a_pickled_model_of_scikit_learn_is_refused_with_a_conversion_that_works(tmp_path: Path) -> None:
    pytest.importorskip("skl2onnx")
    x, y = load_iris(return_X_y=True)
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(x, y)
    joblib.dump(model, tmp_path / "iris.joblib")
    with pytest.raises(UnsafeFileError, match="scikit-learn") as caught:
        sniff(tmp_path / "iris.joblib")
    (command,) = re.findall(r'`python -c "(.*)"`', str(caught.value))
    subprocess.run([sys.executable, "-c", command], cwd=tmp_path, check=True, capture_output=True)
    network = load_network(tmp_path / "model.onnx", "onnx").network
    found = network(torch.from_numpy(x.astype(np.float32)).reshape(len(x), 1, 1, -1)).argmax(1)
    np.testing.assert_array_equal(found, model.predict(x))


def test_an_archive_names_the_model_inside(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "release.zip", "w") as archive:
        archive.writestr("release/weights.safetensors", b"x")
    with pytest.raises(AssayError, match=r"unzip release.zip`, and name weights.safetensors"):
        load_target(str(tmp_path / "release.zip"), data="digits")


def test_a_known_file_without_its_ending_is_to_be_renamed(tmp_path: Path) -> None:
    (tmp_path / "weights").write_bytes(b"\x20\0\0\0TFL3")
    with pytest.raises(AssayError, match=r"a tflite file without an ending that says so: rename it to weights.tflite"):
        load_target(str(tmp_path / "weights"), data="digits")


def test_a_file_that_is_not_there_is_no_unknown_model() -> None:
    with pytest.raises(AssayError, match=r"There is no file nothing\.onnx"):
        load_target("nothing.onnx", data="digits")


def test_a_file_of_weights_where_only_a_whole_reference_will_do(tmp_path: Path) -> None:
    (tmp_path / "weights.tflite").write_bytes(b"\x20\0\0\0TFL3")
    with pytest.raises(AssayError, match="describe it in a target file"):
        open_model(str(tmp_path / "weights.tflite"))
