"""Model files of other tools: what each of them is, and the command that turns it into one that Assay opens.

They are told by their ending or their first bytes; nothing of them is parsed or executed.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

HEAD = 4096
"""Bytes of a file that are looked at. A pickle names the classes that it holds near its start."""

_CLASSIFIERS = "Assay assesses classifiers of images, texts and vectors only"
_TREES = (
    'convert it with `python -c "import {package}, onnxmltools; '
    "from onnxmltools.convert.common.data_types import FloatTensorType as F; {load}; "
    "onnxmltools.utils.save_model(onnxmltools.convert_{package}(m, "
    "initial_types=[('x', F([None, COLUMNS]))]), 'model.onnx')\"` (COLUMNS: the number of columns), and name model.onnx"
)


class Foreign(NamedTuple):
    """A kind of model file that is not opened.

    ``advice`` may hold ``{name}``, the file's name. ``starts`` are first bytes, ``holds`` bytes that appear among the
    first `HEAD`, ``endings`` are in small letters.
    """

    what: str
    advice: str
    endings: tuple[str, ...] = ()
    starts: bytes = b""
    holds: bytes = b""

    def fits(self, ending: str, head: bytes) -> bool:
        """Whether a file with this ending and these first bytes is one."""
        if self.starts or self.holds:
            return head.startswith(self.starts) and self.holds in head and (not self.endings or ending in self.endings)
        return ending in self.endings


_PICKLES = (
    Foreign(
        "a pickled XGBoost model, and a pickle can hold code",
        "where you trust it, " + _TREES.format(package="xgboost", load="import joblib; m = joblib.load('{name}')"),
        holds=b"xgboost",
    ),
    Foreign(
        "a pickled LightGBM model, and a pickle can hold code",
        "where you trust it, " + _TREES.format(package="lightgbm", load="import joblib; m = joblib.load('{name}')"),
        holds=b"lightgbm",
    ),
    Foreign(
        "a pickled scikit-learn model, and a pickle can hold code",
        "where you trust it, convert it with `python -c \"import joblib, numpy, skl2onnx; m = joblib.load('{name}'); "
        "x = skl2onnx.to_onnx(m, numpy.zeros((1, m.n_features_in_), 'float32')); "
        "open('model.onnx', 'wb').write(x.SerializeToString())\"`, and name model.onnx",
        holds=b"sklearn",
    ),
    Foreign(
        "a Python pickle, which can hold code, and not a PyTorch checkpoint",
        "load it where you trust it, and save its weights as safetensors",
        starts=b"\x80",
    ),
)

_OTHERS = (
    Foreign("a GGUF file", f"those are language models, and {_CLASSIFIERS}", starts=b"GGUF"),
    Foreign(
        "a CatBoost model",
        'export it with `python -c "from catboost import CatBoostClassifier as C; '
        "C().load_model('{name}').save_model('model.onnx', format='onnx')\"`, and name model.onnx",
        starts=b"CBM1",
    ),
    Foreign(
        "a LightGBM model",
        _TREES.format(package="lightgbm", load="m = lightgbm.Booster(model_file='{name}')"),
        starts=b"tree\n",
    ),
    Foreign(
        "an XGBoost model",
        _TREES.format(package="xgboost", load="m = xgboost.XGBClassifier(); m.load_model('{name}')"),
        starts=b"{",
        holds=b"learner",
    ),
    Foreign("Python code", "name the function in it that predicts, as in package.module:predict", endings=(".py",)),
    Foreign("a PMML document", "export the model that it was made from as ONNX", endings=(".pmml",)),
    Foreign(
        "a Core ML model",
        "it runs on Apple's systems only: name the model that it was made from, or serve it and describe the service "
        "in a target file",
        endings=(".mlmodel",),
    ),
    Foreign(
        "a TensorRT engine",
        "it runs on one kind of GPU only: name the ONNX file that it was built from",
        endings=(".engine", ".plan", ".trt"),
    ),
    Foreign("a TorchServe archive", "unpack it with `unzip {name}`, and name the weights inside", endings=(".mar",)),
    Foreign("a Caffe model", "convert it to ONNX, and name that file", endings=(".caffemodel",)),
    Foreign(
        "a Paddle model",
        "convert it with `paddle2onnx --model_dir . --model_filename {name} --save_file model.onnx`, and name "
        "model.onnx",
        endings=(".pdmodel", ".pdiparams", ".pdparams"),
    ),
    Foreign("an OpenVINO graph", "name the ONNX file or the checkpoint that it was made from", holds=b"<net "),
    Foreign(
        "Flax parameters in msgpack",
        'save them as safetensors with `python -c "from transformers import FlaxAutoModelForImageClassification as M; '
        "M.from_pretrained('.').save_pretrained('converted', safe_serialization=True)\"`, and name that folder",
        endings=(".msgpack",),
    ),
    Foreign(
        "a part of a TensorFlow 1 checkpoint",
        "freeze its graph, and convert that with `python -m tf2onnx.convert --checkpoint MODEL.meta --output "
        "model.onnx --inputs NAMES --outputs NAMES`",
        endings=(".meta", ".index"),
    ),
    Foreign(
        "the external data of an ONNX file",
        "name the .onnx file that belongs to it, in the same folder",
        endings=(".data", ".onnx_data"),
    ),
    Foreign(
        "a compressed pickle, which can hold code",
        "load it where you trust it, and convert the model to ONNX or save its weights as safetensors",
        endings=(".joblib", ".pkl", ".pickle"),
    ),
    Foreign(
        "an archive",
        "unpack it with `tar -xf {name}`, and name the model file inside",
        endings=(".tar", ".gz", ".tgz", ".bz2", ".xz", ".zip", ".7z"),
    ),
)


def foreign_pickle(path: Path, head: bytes) -> str:
    """What a pickle is and what to do, as a sentence.

    Args:
        path: the file, named in the sentence.
        head: its first `HEAD` bytes, of which the first is 0x80.
    """
    return _sentence(path, next(kind for kind in _PICKLES if kind.fits("", head)))


def foreign(path: Path, head: bytes) -> str | None:
    """What a file is that no reader of Assay opens and what to do, as a sentence; None if that is not known.

    Args:
        path: the file; its name and ending are used.
        head: its first `HEAD` bytes.
    """
    kind = next((kind for kind in _OTHERS if kind.fits(path.suffix.lower(), head)), None)
    return None if kind is None else _sentence(path, kind)


def _sentence(path: Path, kind: Foreign) -> str:
    return f"{path.name} is {kind.what}: {kind.advice.replace('{name}', path.name)}."
