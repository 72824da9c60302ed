"""Models as users bring them, made in a folder: small networks and tables, with their data."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from safetensors.torch import save_file

from assay.data.formats.registry import load_dataset
from assay.targets.reference import load_target
from benchmarks.users.hugging_face import save_image_model, save_text_model
from benchmarks.users.services import open_inference, rest

TABLE = ("forest", "linear")
DIGITS = "starter/digits-cnn"
PREFIXES = ("module.", "model.", "net.", "_orig_mod.")
IMAGE_FOLDERS = ("vit", "resnet", "convnext", "mobilenet")
TEXT_FOLDERS = ("bert", "distilbert", "roberta", "electra")
TESTS = Path(__file__).parents[2] / "tests"
KERAS = TESTS / "targets" / "loading"


class Case(NamedTuple):
    """A case: what ``make`` writes into an empty folder, and the arguments of ``assay audit`` that it returns.

    ``lines`` are those of a file that the user writes besides the command; ``refused`` is part of the sentence where
    the case must be refused.
    """

    name: str
    make: Callable[[Path], list[str]]
    lines: int = 0
    refused: str = ""


def colours(folder: Path, size: int = 32, classes: int = 4) -> str:
    """Noise in colour, (60 + 40) images."""
    random = np.random.default_rng(0)
    arrays: dict[str, Any] = {}
    for part, count in (("train", 60), ("test", 40)):
        arrays[f"x_{part}"] = random.integers(0, 256, (count, size, size, 3), dtype=np.uint8)
        arrays[f"y_{part}"] = np.arange(count) % classes
    np.savez(folder / "images.npz", **arrays)
    return str(folder / "images.npz")


def digits(folder: Path) -> str:
    """The digits as bytes."""
    arrays: dict[str, Any] = {}
    found = load_dataset("digits")
    for part, images in (("train", found.train), ("test", found.test)):
        assert images is not None
        pixels = images.take(np.arange(len(images))).numpy()
        arrays[f"x_{part}"] = (pixels * 255).round().astype(np.uint8)[:, 0]
        arrays[f"y_{part}"] = images.labels
    np.savez(folder / "digits.npz", **arrays)
    return str(folder / "digits.npz")


def network() -> torch.nn.Module:
    """A trained network of digits, without preprocessing."""
    target = load_target(DIGITS)
    inner = getattr(target.module, "module", None)
    assert isinstance(inner, torch.nn.Module)
    return inner.eval()


def image_folder(name: str) -> Callable[[Path], list[str]]:
    """A folder of save_pretrained that classifies images."""
    return lambda folder: [str(save_image_model(name, folder / name)), colours(folder)]


def text_folder(name: str) -> Callable[[Path], list[str]]:
    """A folder of save_pretrained that classifies texts."""

    def make(folder: Path) -> list[str]:
        random = np.random.default_rng(0)
        words = ("good", "bad", "film", "the", "a", "was")
        for part, count in (("train", 60), ("test", 40)):
            rows = [f"{' '.join(random.choice(words, 8))} {k},{k % 4}" for k in range(count)]
            (folder / f"mail_{part}.csv").write_text("\n".join(["text,label", *rows]) + "\n")
        return [str(save_text_model(name, folder / name)), str(folder / "mail_train.csv")]

    return make


def onnx_export(dynamo: bool) -> Callable[[Path], list[str]]:
    """What torch.onnx.export writes."""

    def make(folder: Path) -> list[str]:
        path = folder / "digits.onnx"
        inner = network()
        inputs = torch.zeros(2, 1, 8, 8)
        open_batch = ({0: torch.export.Dim("n")},)
        batch: dict[str, Any] = {"dynamic_shapes": open_batch} if dynamo else {"dynamic_axes": {"input": {0: "n"}}}
        torch.onnx.export(inner, (inputs,), str(path), input_names=["input"], dynamo=dynamo, verbose=False, **batch)
        return [str(path), digits(folder)]

    return make


def state(prefix: str) -> Callable[[Path], list[str]]:
    """A checkpoint whose keys have a prefix, or that nests its state dictionary (an empty prefix)."""

    def make(folder: Path) -> list[str]:
        found = {f"{prefix}{key}": value for key, value in network().state_dict().items()}
        torch.save(found if prefix else {"state_dict": found, "epoch": 3}, folder / "digits.pt")
        return [str(folder / "digits.pt"), digits(folder), "--architecture", "digits-cnn"]

    return make


def safetensors(folder: Path) -> list[str]:
    """The tensors alone."""
    save_file(network().state_dict(), folder / "digits.safetensors")
    return [str(folder / "digits.safetensors"), digits(folder), "--architecture", "digits-cnn"]


def keras(ending: str) -> Callable[[Path], list[str]]:
    """What Keras 3 saved."""

    def make(folder: Path) -> list[str]:
        path = folder / f"model{ending}"
        path.write_bytes((KERAS / f"keras3{ending}").read_bytes())
        shape, classes = load_shape(path)
        return [str(path), colours(folder, shape[1], classes)]

    return make


def load_shape(path: Path) -> tuple[tuple[int, int, int], int]:
    """What a file that holds its network takes, and its classes."""
    from assay.targets.loading import load_network, sniff

    loaded = load_network(path, sniff(path))
    return loaded.input_shape, loaded.num_classes


def table(kind: str, ending: str) -> Callable[[Path], list[str]]:
    """A model of scikit-learn through ONNX, and its table."""

    def make(folder: Path) -> list[str]:
        import skl2onnx
        from sklearn.datasets import load_breast_cancer
        from sklearn.ensemble import RandomForestClassifier
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        frame = load_breast_cancer(as_frame=True).frame.sample(frac=1, random_state=0)
        for part, rows in (("train", frame[:380]), ("test", frame[380:])):
            path = folder / f"cancer_{part}{ending}"
            rows.to_csv(path, index=False) if ending == ".csv" else rows.to_parquet(path, index=False)
        x, y = frame[:380].drop(columns="target").to_numpy(np.float32), frame[:380]["target"].to_numpy()
        forest, linear = (
            RandomForestClassifier(50, random_state=0),
            make_pipeline(StandardScaler(), LogisticRegression()),
        )
        model = (forest if kind == "forest" else linear).fit(x, y)
        (folder / "cancer.onnx").write_bytes(skl2onnx.to_onnx(model, x[:1]).SerializeToString())
        return [str(folder / "cancer.onnx"), str(folder / f"cancer_train{ending}")]

    return make


FUNCTION = """import numpy as np

def predict(batch):
    share = 1 / (1 + np.exp(batch[:, 0] - 5))
    return np.stack([share, 1 - share], axis=1)
"""


def function(folder: Path) -> list[str]:
    """A predict function about vectors."""
    (folder / "users_model.py").write_text(FUNCTION)
    random = np.random.default_rng(0)
    x, noise = random.normal(5, 2, (100, 4)), random.normal(0, 1, 100)
    y = (x[:, 0] + noise > 5).astype(int)
    np.savez(folder / "vectors.npz", x_train=x[:60], y_train=y[:60], x_test=x[60:], y_test=y[60:])
    return ["users_model:predict", str(folder / "vectors.npz")]


def tflite(kind: str) -> Callable[[Path], list[str]]:
    """A TFLite file with one dense layer, float or quantised; no converter for it can be installed beside torch."""

    def make(folder: Path) -> list[str]:
        spec = importlib.util.spec_from_file_location("written_tflite", TESTS / "oracles" / "tflite.py")
        assert spec is not None
        assert spec.loader is not None
        written = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(written)
        written.write_tflite(folder / "model.tflite", kind, (8, 8, 1), 10)
        return [str(folder / "model.tflite"), digits(folder)]

    return make


def recorded(folder: Path, *, labelled: bool = True) -> list[str]:
    """Answers of the network of digits, with labels or without."""
    target = load_target(DIGITS)
    arrays = {}
    for name, part in (("members", target.splits.members), ("non_members", target.splits.non_members)):
        assert part is not None
        arrays[name] = target.logits(part.take(np.arange(len(part)))).softmax(dim=1).numpy()
        if labelled:
            arrays[f"{name[:-1]}_labels"] = part.labels
    np.savez(folder / "answers.npz", **arrays)
    return ["--outputs", str(folder / "answers.npz")]


def foreign_folder(config: dict[str, Any]) -> Callable[[Path], list[str]]:
    """A folder of save_pretrained with another configuration."""

    def make(folder: Path) -> list[str]:
        path = save_image_model("vit", folder / "model")
        own = json.loads((path / "config.json").read_text())
        (path / "config.json").write_text(json.dumps(own | config))
        return [str(path), colours(folder)]

    return make


def pickled(folder: Path) -> list[str]:
    """A pickle that is no checkpoint."""
    (folder / "model.pkl").write_bytes(b"\x80\x04K\x01.")
    return [str(folder / "model.pkl"), digits(folder)]


def scripted(folder: Path) -> list[str]:
    """A TorchScript archive."""
    torch.jit.trace(network(), torch.zeros(2, 1, 8, 8)).save(str(folder / "digits.pt"))
    return [str(folder / "digits.pt"), digits(folder)]


def exported(folder: Path) -> list[str]:
    """A program of torch.export."""
    torch.export.save(torch.export.export(network(), (torch.zeros(2, 1, 8, 8),)), folder / "digits.pt2")
    return [str(folder / "digits.pt2"), digits(folder)]


def saved_model(folder: Path) -> list[str]:
    """A SavedModel's folder."""
    (folder / "saved").mkdir()
    (folder / "saved" / "saved_model.pb").write_bytes(b"\x08\x01")
    return [str(folder / "saved"), digits(folder)]


CASES = [
    *(Case(f"Hugging Face image folder, {name}", image_folder(name)) for name in IMAGE_FOLDERS),
    *(Case(f"Hugging Face text folder, {name}", text_folder(name)) for name in TEXT_FOLDERS),
    Case("ONNX, dynamo export", onnx_export(True)),
    Case("ONNX, legacy export", onnx_export(False)),
    *(Case(f"state dictionary, keys begin with {prefix}", state(prefix)) for prefix in PREFIXES),
    Case("state dictionary under state_dict", state("")),
    Case("safetensors", safetensors),
    Case("Keras archive (.keras)", keras(".keras")),
    Case("Keras HDF5 (.h5)", keras(".h5")),
    *(Case(f"TFLite, {kind}", tflite(kind)) for kind in ("float32", "int8")),
    *(Case(f"skl2onnx {kind}, CSV", table(kind, ".csv")) for kind in TABLE),
    Case("skl2onnx linear, Parquet", table("linear", ".parquet")),
    Case("Python function about vectors, npz", function),
    Case("REST service with its own JSON", rest, lines=6),
    Case("Open Inference Protocol (assay serve)", open_inference),
    Case("recorded answers with labels", recorded),
    Case("recorded answers without labels", partial(recorded, labelled=False)),
    Case("remote code", foreign_folder({"auto_map": {"AutoModel": "mine.Model"}}), refused="code"),
    Case("detection model", foreign_folder({"architectures": ["DetrForObjectDetection"]}), refused="classifier"),
    Case("pickle", pickled, refused="pickle"),
    Case("TorchScript", scripted, refused="TorchScript"),
    Case(".pt2", exported, refused="torch.export"),
    Case("SavedModel", saved_model, refused="SavedModel"),
]
