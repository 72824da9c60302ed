"""Readers of packages, on small packages made here in the form of the real ones."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from assay.base.errors import UsageError
from assay.catalogue.packages import find_files, find_package
from assay.catalogue.sources import SOURCES, kecam, openmmlab, pytorchcv, robustbench
from assay.catalogue.sources.addresses import arxiv_id, hashed_name
from assay.catalogue.sources.timm import _training_data


def wheel(folder: Path, name: str, version: str, files: dict[str, str], description: str = "") -> Path:
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as archive:
        metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n\n{description}"
        archive.writestr(f"{name}-{version}.dist-info/METADATA", metadata)
        for path, text in files.items():
            archive.writestr(path, text)
    return folder


PYTORCHCV = """"model_name","net_weights","error_value","checksum","repo_release_tag","model_caption","arxiv_paper","test_dataset","img_size","img_scale","test_batch","remark"
"alexnet",62378344,1664,"2768cdb312d584e33e93f31b0c569589bb289749","v0.0.481","AlexNet","1404.5997","in1k",224,0.875,200,NA
"resnet20_cifar10",272474,0597,"9b0024ac4c2f374cde2c5052e0d0344a75871cdb","v0.0.163",NA,NA,"cf",NA,NA,NA,NA
"resnet200",64673832,NA,NA,NA,NA,NA,"in1k",NA,NA,NA,NA
"pspnet_coco",68073706,6741,"c8b13be65cb43402fce8bae945f6e0d0a3246b92","v0.0.297",NA,NA,"cocoseg",NA,NA,NA,NA
"""  # noqa: E501
TABLES = """
### ImageNet-1K
| Model |  Top1 |  Top5 | Params |
| --- | ---: | ---: | ---: |
| AlexNet | 38.50 | 16.64 | 62,378,344 | ([log](https://x/v0.0.481/alexnet-1664-2768cdb3.pth.log)) |

### CIFAR-10
"""


def test_pytorchcv(tmp_path: Path) -> None:
    table = {"pytorchcv/models/common/model_metainfos.csv": PYTORCHCV}
    found = pytorchcv.entries(wheel(tmp_path, "pytorchcv", "9.9", table, TABLES))
    assert found.source.label == "pytorchcv 9.9"
    alexnet, resnet = found.entries
    assert (alexnet.id, alexnet.top1, alexnet.top5, alexnet.input) == (
        "pytorchcv/alexnet",
        0.615,
        0.8336,
        (3, 224, 224),
    )
    assert alexnet.weights_digest == "sha1:2768cdb312d584e33e93f31b0c569589bb289749"
    assert alexnet.weights_url.endswith("/v0.0.481/alexnet-1664-2768cdb3.pth.zip")  # type: ignore[union-attr]
    assert (resnet.dataset, resnet.architecture, resnet.top1, resnet.top5) == ("cifar10", "resnet20", 0.9403, None)
    assert (resnet.input, resnet.evaluated_on) == ((3, 32, 32), "cifar10 test")


METAFILE = """
Collections:
  - Name: ResNet
    Paper: {URL: "https://arxiv.org/abs/1512.03385"}
Models:
  - Name: resnet50_8xb16_cifar10
    In Collection: ResNet
    Metadata: {FLOPs: 1310000000, Parameters: 23520000, Training Data: CIFAR-10}
    Results:
      - {Task: Image Classification, Dataset: CIFAR-10, Metrics: {Top 1 Accuracy: 95.55}}
    Weights: https://x/resnet50_b16x8_cifar10_20210528-f54bfad9.pth
  - Name: resnet50_3rdparty_in1k-384px
    In Collection: ResNet
    Metadata: {Training Data: [ImageNet-21k, ImageNet-1k, Secret]}
    Results: {Task: Image Classification, Dataset: ImageNet-1k, Metrics: {Top 1 Accuracy: 80.0, Top 5 Accuracy: 95.0}}
    Weights: https://x/y.pth
  - Name: blip_caption
    In Collection: ResNet
    Results: [{Task: Image Caption, Dataset: COCO, Metrics: {}}]
    Weights: https://x/z.pth
  - Name: pretrained-only
    In Collection: ResNet
    Results: null
    Weights: https://x/w.pth
"""


def test_openmmlab(tmp_path: Path) -> None:
    pytest.importorskip("yaml")
    folder = wheel(tmp_path, "mmpretrain", "1.0", {"mmpretrain/.mim/configs/resnet/metafile.yml": METAFILE})
    big, small = openmmlab.mmpretrain(folder).entries
    assert (small.dataset, small.parameters, small.macs, small.top1) == ("cifar10", 23_520_000, 1_310_000_000, 0.9555)
    assert (small.paper, small.weights_digest, small.evaluated_on) == ("1512.03385", "sha256:f54bfad9", "cifar10 test")
    assert (big.input, big.top5, big.weights_digest) == ((3, 384, 384), 0.95, None)
    assert big.training_data == ("imagenet-21k", "imagenet-1k", "secret")


ZOO = """
raise SystemExit("this must never be run")
mu = (0.5,)
linf = OrderedDict([
    ('Carmon2019Unlabeled', {'model': lambda: WideResNet(depth=28, widen_factor=10), 'gdrive_id': 'abc'}),
    ('Wang2023Better', {'model': lambda: DMWideResNet(num_classes=10, depth=70, width=16), 'gdrive_id': ['d', 'e']}),
    ('Own2020Net', {'model': SecretNet, 'gdrive_id': 'f'}),
    ('Standard', {'model': lambda: normalize_model(models.resnet50(), mu), 'gdrive_id': None}),
])
"""


def test_robustbench_is_parsed_and_never_run(tmp_path: Path) -> None:
    files = {f"robustbench/model_zoo/{name}.py": ZOO if name == "cifar10" else "x = 1" for name in robustbench.DATASETS}
    entries = {
        entry.id.rsplit("/", 1)[1]: entry
        for entry in robustbench.entries(wheel(tmp_path, "robustbench", "1", files)).entries
    }
    assert {name: entry.architecture for name, entry in entries.items()} == {
        "Carmon2019Unlabeled": "WideResNet-28-10",
        "Wang2023Better": "WideResNet-70-16",
        "Own2020Net": None,
        "Standard": "resnet50",
    }
    assert entries["Wang2023Better"].weights_url == "https://drive.google.com/uc?id=d"
    assert (entries["Carmon2019Unlabeled"].year, entries["Standard"].year) == (2019, None)
    assert (entries["Standard"].weights_url, entries["Standard"].purpose) == (None, "security")


KECAM = """
# Recognition Models
## BEiT
  - includes models from [PDF 2106.08254](https://arxiv.org/pdf/2106.08254.pdf).

  | Model | Params  | FLOPs   | Input | Top1 Acc | T4 Inference |
  | ----- | ------- | ------- | ----- | -------- | ------------ |
  | [Base](https://x/beit/beit_base_patch16_224_imagenet21k-ft1k.h5) | 86.53M | 17.61G | 224 | 85.240 | 3 qps |
  | [SSL](https://x/beit/beit_ssl.h5) | 86.53M | 17.61G | 224 |  | 3 qps |
## Other
  | [Net](https://x/other/net_imagenet.h5) | 900K | 30M | 160 | 60.1 | |
# Detection Models
  | [Det](https://x/det/det_coco.h5) | 900K | 30M | 160 | 60.1 | |
"""


def test_kecam(tmp_path: Path) -> None:
    base, net = kecam.entries(wheel(tmp_path, "keras_cv_attention_models", "1.4", {}, KECAM)).entries
    assert (base.architecture, base.parameters, base.macs) == ("beit_base_patch16", 86_530_000, 17_610_000_000)
    assert (base.paper, base.top1, base.input) == ("2106.08254", 0.8524, (3, 224, 224))
    assert (net.architecture, net.dataset) == ("net", "imagenet-1k")
    assert (net.id, net.parameters, net.paper) == ("kecam/net_imagenet", 900_000, None)


def test_a_package_that_is_nowhere_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no-such-thing is not installed, and .* has no wheel of it; download"):
        find_package("no-such-thing", tmp_path)


def test_files_are_found_in_the_order_of_their_paths(tmp_path: Path) -> None:
    for name in ("b/x.yml", "a/c/x.yml", "a/y.yml", "x.yml"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert [str(Path(str(f)).relative_to(tmp_path)) for f in find_files(tmp_path, "x.yml")] == [
        "a/c/x.yml",
        "b/x.yml",
        "x.yml",
    ]


@pytest.mark.parametrize(
    ("url", "digest"),
    [
        ("https://x/resnet50-11ad3fa6.pth", "sha256:11ad3fa6"),
        ("https://x/resnet50_8xb32_20210831-ea4938fc.pth", "sha256:ea4938fc"),
        ("https://x/resnet50-20210831.pth", None),
        ("https://x/resnet50-19584684.pth", "sha256:19584684"),
        ("https://x/resnet50-11ad3fa.pth", None),
        ("https://x/resnet50.pth", None),
        ("", None),
    ],
)
def test_digests_in_file_names(url: str, digest: str | None) -> None:
    assert hashed_name(url) == digest


def test_arxiv_identifiers() -> None:
    assert arxiv_id("https://arxiv.org/pdf/2006.08403v2") == "2006.08403"
    assert arxiv_id("arXiv:2110.00476") == "2110.00476"
    assert arxiv_id("https://openreview.net/pdf?id=SkfMWhAqYQ") is None


@pytest.mark.parametrize(
    ("tag", "data"),
    [
        ("augreg_in21k_ft_in1k", ("imagenet-21k", "imagenet-1k")),
        ("clip_laion2b_soup_ft_in12k_in1k_320", ("laion-2b", "imagenet-12k", "imagenet-1k")),
        ("mim_in22k_ft_in22k_in1k", ("imagenet-21k", "imagenet-1k")),
        ("bamboo", None),
    ],
)
def test_training_data_in_tags_of_timm(tag: str, data: tuple[str, ...] | None) -> None:
    assert _training_data(tag) == data


def test_every_source_is_a_reader() -> None:
    assert list(SOURCES) == ["torchvision", "timm", "pytorchcv", "mmpretrain", "mmcls", "robustbench", "kecam"]
