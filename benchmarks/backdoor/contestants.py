"""What `inputs` runs, each in a process of its own: one input detector on the same network and images.

    python -m benchmarks.backdoor.contestants NAME FOLDER

Prints one line of JSON: scores of clean and stamped images (the higher the more suspicious), which are flagged, and
the forwards and CPU seconds spent, calibration apart. STRIP and TeCo flag at 5 % of clean images, NEO and SCALE-UP at
their papers' thresholds.
"""

from __future__ import annotations

import importlib
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

RATE, OVERLAYS, SHARE, SIDE = 0.05, 20, 0.8, 3
PUBLISHED = {"neo": SHARE - 1e-9, "scale_up": 0.5}
"""Thresholds of the papers."""
CLEAN_FOR_TROJANZOO, STAMPED_FOR_TROJANZOO, NEO_IMAGES = 6, 6, 60
Result = dict[str, Any]


class Counted(torch.nn.Module):
    """A network that counts the images it sees."""

    def __init__(self, network: torch.nn.Module, softmax: bool = False) -> None:
        super().__init__()
        self.network, self.softmax, self.images = network, softmax, 0

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits, or posteriors."""
        self.images += len(images)
        logits: torch.Tensor = self.network(images)
        return logits.softmax(1) if self.softmax else logits


class Arena:
    """The network and the images, and a stopwatch for both kinds of images."""

    def __init__(self, folder: Path) -> None:
        self.network = Counted(torch.jit.load(str(folder / "network.pt")).eval())
        self.images = {name: torch.from_numpy(part) for name, part in np.load(folder / "images.npz").items()}

    def timed(self, judge: Callable[[torch.Tensor], Any], clean: torch.Tensor, stamped: torch.Tensor) -> Result:
        """Judge both kinds of images; what they cost, the clean ones apart."""
        spent: Result = {}
        answers = []
        for suffix, images in (("_of_clean", clean), ("", stamped)):
            seconds, before = time.process_time(), self.network.images
            with torch.no_grad():
                answers.append(judge(images))
            spent[f"cpu_seconds{suffix}"] = time.process_time() - seconds
            spent[f"forwards{suffix}"] = self.network.images - before
        for kind in ("cpu_seconds", "forwards"):
            spent[kind] += spent[f"{kind}_of_clean"]
        return spent | {"answers": answers}


def finished(spent: Result, flag: Callable[[Any], Any] | None) -> Result:
    """The line to print. Without scores an answer is the flags themselves."""
    clean, stamped = (np.asarray(answer) for answer in spent.pop("answers"))
    flags = [clean, stamped] if flag is None else [flag(clean), flag(stamped)]
    scores = [clean, stamped] if flag is not None else [np.zeros(0)] * 2
    parts = dict(zip(("clean", "stamped"), (score.tolist() for score in scores), strict=True))
    return (
        spent
        | parts
        | {
            f"{name}_flagged": np.asarray(part).astype(bool).tolist()
            for name, part in zip(("clean", "stamped"), flags, strict=True)
        }
    )


def ours(name: str, arena: Arena, rate: float = RATE, **options: Any) -> Result:
    """Assay's detector of that name; where no paper's threshold is taken, it flags that share of clean images."""
    from assay.access import Oracle, PosteriorStore, Serving
    from assay.data.images import ArrayImages
    from assay.methods.backdoor.inputs.calibration import flagged, threshold
    from assay.methods.method import METHODS, Context
    from assay.targets.target import Target

    method: Any = METHODS.get(f"backdoor.{name}")(**options)
    target = Target.from_module(arena.network, input_shape=(3, 32, 32), num_classes=10, weights_digest="planted")
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        oracle = Oracle(target, Serving(), PosteriorStore(place / "store.bin", 10))
        context = Context(seed=0, device=torch.device("cpu"), artefacts=place, shared=place)

        def judge(images: torch.Tensor) -> Any:
            array = ArrayImages(images.numpy(), np.zeros(len(images), np.int64), "images")
            return method.sign * method.measurements(
                oracle, array, arena.images["pool"], context, f"{len(images)} images"
            )

        count = NEO_IMAGES if name == "neo" else len(arena.images["clean"])
        calibrating = arena.images["calibration"][: 2 * count]
        limit = PUBLISHED.get(name) or threshold(judge(calibrating), rate)
        spent = arena.timed(judge, arena.images["clean"][:count], arena.images["stamped"][:count])
    return finished(spent, lambda scores: flagged(scores, limit))


def art_strip(arena: Arena, over_classes: bool = False) -> Result:
    """ART's STRIP; its entropies are overheard, as it hands out decisions only."""
    from art.defences.transformer.poisoning import STRIP
    from art.estimators.classification import PyTorchClassifier
    from art.estimators.poison_mitigation.strip import strip as module

    heard: list[float] = []
    entropy = module.entropy

    def overhearing(posteriors: Any, base: int, axis: int) -> Any:
        values = entropy(posteriors, base=base, axis=1 if over_classes else axis)
        heard.append(float(values.sum() / OVERLAYS))
        return values

    module.entropy = overhearing
    arena.network.softmax = True
    classifier = PyTorchClassifier(
        arena.network, torch.nn.NLLLoss(), input_shape=(3, 32, 32), nb_classes=10, device_type="cpu"
    )
    np.random.seed(0)
    guarded = STRIP(classifier)(num_samples=OVERLAYS, false_acceptance_rate=RATE)
    guarded.mitigate(arena.images["calibration"].numpy())

    def judge(images: torch.Tensor) -> Any:
        heard.clear()
        guarded.predict(images.numpy())
        return -np.array(heard)

    spent = arena.timed(judge, arena.images["clean"], arena.images["stamped"])
    return finished(spent, lambda scores: -scores <= guarded.entropy_threshold)


def trojanzoo_strip(arena: Arena) -> Result:
    """TrojanZoo's STRIP with its 64 overlays and its threshold from the clean images that it judges."""
    strip = _trojanzoo("strip").Strip
    pool = arena.images["everything"]
    stand_in = SimpleNamespace(
        loader=[(part, None) for part in pool.split(512)],
        strip_sample_num=64,
        strip_alpha=0.5,
        model=_Model(arena.network),
    )

    def judge(images: torch.Tensor) -> Any:
        stand_in.loader = [(pool[512 * i : 512 * i + len(images)], None) for i in range(10)] * 7
        return -strip.get_score(stand_in, images).numpy()

    spent = arena.timed(judge, arena.images["clean"], arena.images["stamped"])
    limit = np.sort(-spent["answers"][0])[int(RATE * len(spent["answers"][0]))]
    return finished(spent, lambda scores: -scores < limit)


def trojanzoo_neo(arena: Arena) -> Result:
    """TrojanZoo's NEO: the trigger's size is told, 10,000 images confirm a candidate."""
    neo = _trojanzoo("neo").Neo
    from trojanvision.marks import Watermark

    mark = Watermark(data_shape=[3, 32, 32], mark_height=SIDE, mark_width=SIDE)
    everything = arena.images["everything"]
    stand_in = SimpleNamespace(
        neo_asr_threshold=SHARE,
        neo_sample_num=100,
        neo_kmeans_num=3,
        mark_size=[SIDE, SIDE],
        select_num=SIDE * SIDE,
        attack=SimpleNamespace(mark=mark, add_mark=mark.add_mark),
        model=_Model(arena.network),
        dataset=SimpleNamespace(loader={"valid": [(part, None) for part in everything.split(500)]}),
        real_mask=mark.get_mask(),
    )
    for name in ("get_dominant_color", "get_cls_diff"):
        setattr(stand_in, name, getattr(neo, name).__get__(stand_in))
    logger = SimpleNamespace(update=lambda **values: None)
    torch.manual_seed(0)
    np.random.seed(0)

    def judge(images: torch.Tensor) -> Any:
        return [neo.get_pred_label(stand_in, image, logger=logger) for image in images]

    clean, stamped = arena.images["clean"][:CLEAN_FOR_TROJANZOO], arena.images["stamped"][:STAMPED_FOR_TROJANZOO]
    return finished(arena.timed(judge, clean, stamped), None)


class _Model:
    """What TrojanZoo asks of a model."""

    def __init__(self, network: Counted) -> None:
        self.network = network

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        return self.network(images)

    def get_class(self, images: torch.Tensor) -> torch.Tensor:
        """Labels."""
        return self.network(images).argmax(1)

    def get_data(self, data: Any) -> Any:
        """A batch as it is."""
        return data


def _trojanzoo(name: str) -> Any:
    """A module of TrojanZoo's input filters."""
    told_of_operators()
    return importlib.import_module(f"trojanvision.defenses.backdoor.input_filtering.{name}")


def told_of_operators() -> None:
    """Tell torch of two operators of torchvision that it may be unable to load."""
    library = torch.library.Library("torchvision", "FRAGMENT")
    for operator in ("nms", "qnms"):
        library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    globals()["_kept"] = library


CONTESTANTS: dict[str, Callable[[Arena], Result]] = {
    "ours strip": lambda arena: ours("strip", arena, overlays=OVERLAYS),
    "ours strip, at 1 %": lambda arena: ours("strip", arena, rate=0.01, overlays=OVERLAYS),
    "ours neo": lambda arena: ours("neo", arena),
    "ours scale_up": lambda arena: ours("scale_up", arena),
    "ours teco": lambda arena: ours("teco", arena),
    "ART strip": art_strip,
    "ART strip, entropy over classes": lambda arena: art_strip(arena, over_classes=True),
    "TrojanZoo strip": trojanzoo_strip,
    "TrojanZoo neo": trojanzoo_neo,
}


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(json.dumps(CONTESTANTS[sys.argv[1]](Arena(Path(sys.argv[2])))))
