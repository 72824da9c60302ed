"""What `cleanse` runs, each in a process of its own: one detector of backdoored models on one network.

    python -m benchmarks.backdoor.cleanse_contestants NAME FOLDER

Prints one line of JSON: verdict, the label that stands out, its index, gradients and CPU seconds. The peers give no
verdict, or a list of labels; theirs is the rule of Neural Cleanse's paper, a mask smaller than the median with an index
above 2.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from benchmarks.backdoor.contestants import Counted, told_of_operators

CLASSES, SEARCHED, HELD_OUT, PAPERS_INDEX = 10, 64, 200, 2.0
Result = dict[str, Any]


class Arena:
    """The network, and images that it was not trained on."""

    def __init__(self, folder: Path) -> None:
        self.network = Counted(torch.jit.load(str(folder / "network.pt")).eval())
        self.images = torch.from_numpy(np.load(folder / "images.npz")["everything"])


def by_the_papers_rule(sizes: Any) -> Result:
    """The smallest mask's label and index, by median and consistent median absolute deviation.

    Written out, as the peers' interpreter has no Assay.
    """
    sizes = np.asarray(sizes, float)
    below = np.median(sizes) - sizes
    indices = below / (1.4826 * np.median(np.abs(below)))
    label = int(indices.argmax())
    verdict = "backdoored" if indices[label] > PAPERS_INDEX else "clean"
    return {"verdict": verdict, "label": label, "index": float(indices[label]), "sizes": sizes.tolist()}


def ours(name: str, arena: Arena) -> Result:
    """Assay's detector of that name with its defaults, and its own verdict."""
    from assay.access import WhiteBox
    from assay.data.images import ArrayImages
    from assay.data.splits import Splits
    from assay.methods.method import METHODS, Context
    from assay.targets.target import Target

    count = SEARCHED + HELD_OUT
    images = ArrayImages(arena.images[:count].numpy(), np.zeros(count, np.int64), "images")
    target = Target.from_module(arena.network, input_shape=(3, 32, 32), num_classes=CLASSES, weights_digest="arena")
    box = WhiteBox(target)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        context = Context(seed=0, device=torch.device("cpu"), artefacts=place, shared=place)
        start = time.process_time()
        finding = METHODS.get(name)().run(box, Splits(None, images), context)
        seconds = time.process_time() - start
    value = {metric.name: metric.value for metric in finding.metrics}
    top = next(column for column in finding.samples if column in ("lead", "strength_patch"))
    return {
        "verdict": finding.verdict.level,
        "label": int(np.nanargmax(finding.samples[top])),
        "index": value["anomaly_index"],
        "p": value["p_value"],
        "gradients": box.ledger.gradients,
        "cpu_seconds": seconds,
        "sentence": finding.verdict.sentence,
    }


def trojanzoo(arena: Arena, count: int) -> Result:
    """TrojanZoo's Neural Cleanse with its defaults (10 epochs over the images it is given)."""
    told_of_operators()
    module = importlib.import_module("trojanvision.defenses.backdoor.model_inspection.neural_cleanse")
    from trojanvision.marks import Watermark

    images = arena.images[:count]
    mark = Watermark(data_shape=[3, 32, 32], mark_height=32, mark_width=32)
    mark.mark = torch.zeros(4, 32, 32)
    mark.mark_height_offset = mark.mark_width_offset = 0
    detector = object.__new__(module.NeuralCleanse)
    detector.attack = SimpleNamespace(mark=mark, add_mark=mark.add_mark)
    detector.model = _Model(arena.network)
    detector.dataset = SimpleNamespace(
        loader={"train": [(part, torch.zeros(len(part), dtype=torch.int64)) for part in images.split(100)]}
    )
    detector.defense_remask_epoch, detector.defense_remask_lr = 10, 0.1
    detector.cost = detector.init_cost = 1e-3
    detector.cost_multiplier_up, detector.cost_multiplier_down = 1.5, 1.5**1.5
    detector.nc_asr_threshold = detector.nc_early_stop_threshold = 0.99
    detector.nc_patience, detector.early_stop_patience = 10.0, 20.0
    torch.manual_seed(0)
    start = time.process_time()
    marks = [detector.optimize_mark(label, verbose=False)[0] for label in range(CLASSES)]
    seconds = time.process_time() - start
    sizes = [float(found[-1].abs().sum()) for found in marks]
    return by_the_papers_rule(sizes) | {"gradients": arena.network.images, "cpu_seconds": seconds}


class _Model:
    """What TrojanZoo asks of a model."""

    def __init__(self, network: Counted) -> None:
        self.network = network

    def __call__(self, images: torch.Tensor, **others: Any) -> torch.Tensor:
        return self.network(images)

    def get_data(self, data: Any) -> Any:
        """A batch as it is."""
        return data

    def loss(self, images: Any, labels: torch.Tensor, _output: torch.Tensor) -> torch.Tensor:
        """Cross-entropy."""
        return torch.nn.functional.cross_entropy(_output, labels)


def art(arena: Arena, mended: bool, steps: int = 1_000) -> Result:
    """ART's Neural Cleanse with its defaults, on the same weights in Keras.

    Its ``reset`` writes 0 into every variable of the optimiser, with Keras 3 the learning rate too, so that nothing is
    searched. Mended, the learning rate is written back, and the size is the paper's, L1 instead of L2.
    """
    import tensorflow as tf
    from art.estimators.poison_mitigation import KerasNeuralCleanse

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    images = arena.images[:SEARCHED].permute(0, 2, 3, 1).numpy()
    network = as_keras(arena.network.network.state_dict())
    theirs, own = network.predict(images, verbose=0), arena.network(arena.images[:SEARCHED]).detach().numpy()
    if np.abs(theirs - own).max() > 1e-3:
        raise SystemExit(f"the network in Keras answers otherwise, by {np.abs(theirs - own).max():g}")
    np.random.seed(0)
    tf.random.set_seed(0)
    norm = 1 if mended else 2
    detector = KerasNeuralCleanse(network, use_logits=True, clip_values=(0, 1), norm=norm, steps=steps)
    gradients, search, reset = 0, detector.train, detector.reset

    def counted(batch: Any, wanted: Any) -> Any:
        nonlocal gradients
        gradients += len(batch)
        return search(batch, wanted)

    def without_harm() -> None:
        reset()
        detector.opt.learning_rate.assign(detector.learning_rate)

    detector.train = counted
    if mended:
        detector.reset = without_harm
    labels = np.eye(CLASSES, dtype=np.float32)
    answers = labels[own.argmax(1)]
    start = time.process_time()
    with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):  # it prints a tensor at every step
        masks = [detector.generate_backdoor(images, answers, label)[0] for label in labels]
    seconds = time.process_time() - start
    sizes = [float(np.abs(mask).sum()) for mask in masks]
    return by_the_papers_rule(sizes) | {"gradients": gradients, "cpu_seconds": seconds}


def as_keras(state: dict[str, torch.Tensor]) -> Any:
    """``tiny-cnn`` in Keras, images last to first as Keras wants them, with the same weights."""
    import keras

    weights = {name: value.numpy() for name, value in state.items()}
    layers: list[Any] = [keras.Input((32, 32, 3))]
    values: list[list[Any]] = []
    for number, stride in ((0, 2), (3, 2), (6, 1)):
        kernel = weights[f"0.{number}.weight"].transpose(2, 3, 1, 0)
        layers += [
            keras.layers.ZeroPadding2D(1),
            keras.layers.Conv2D(kernel.shape[3], kernel.shape[0], stride, use_bias=False),
            keras.layers.BatchNormalization(epsilon=1e-5),
            keras.layers.ReLU(),
        ]
        normalisation = ("weight", "bias", "running_mean", "running_var")
        values += [[], [kernel], [weights[f"0.{number + 1}.{name}"] for name in normalisation], []]
    layers += [keras.layers.Permute((3, 1, 2)), keras.layers.Flatten()]
    values += [[], []]
    for number, activation in ((1, "relu"), (3, None)):
        matrix = weights[f"{number}.weight"]
        layers.append(keras.layers.Dense(len(matrix), activation=activation))
        values.append([matrix.T, weights[f"{number}.bias"]])
    network = keras.Sequential(layers)
    for layer, value in zip(network.layers, values, strict=True):
        layer.set_weights(value)
    network.compile(loss=keras.losses.CategoricalCrossentropy(from_logits=True))
    return network


CONTESTANTS: dict[str, Callable[[Arena], Result]] = {
    "Assay scan": lambda arena: ours("backdoor.scan", arena),
    "Assay Neural Cleanse": lambda arena: ours("backdoor.neural_cleanse", arena),
    "TrojanZoo, the same 64 images": lambda arena: trojanzoo(arena, SEARCHED),
    "TrojanZoo, 4,000 images": lambda arena: trojanzoo(arena, 4_000),
    "ART": lambda arena: art(arena, mended=False),
    "ART, mended, 100 of its 1,000 steps": lambda arena: art(arena, mended=True, steps=100),
    "ART, mended": lambda arena: art(arena, mended=True),
}


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(json.dumps(CONTESTANTS[sys.argv[1]](Arena(Path(sys.argv[2])))))
