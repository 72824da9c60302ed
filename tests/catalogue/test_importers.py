from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path

import pytest

from assay.base.errors import AssayError, LoadError, UsageError
from assay.catalogue.catalogue import Catalogue, load_catalogue, packaged
from assay.catalogue.importers import read_file
from assay.catalogue.importers.securitynet import read_tables
from assay.catalogue.importers.timm_results import rows
from assay.catalogue.keep import keep
from assay.catalogue.merge import merge

HEADINGS = (
    "Model Name|Model Type|Data Name|Data Category|Num Class|Training Size|Train Accuracy|Test Accuracy|Overfit Gap|"
    "Model Stealing Accuracy|Model Stealing Agreement|Correct Auc|M_entropy AUC|Wrn Accuracy|Wrn Agree|"
    "ImgNet Accuracy|ImgNet Agree|Conference|Conference Type|Year|Country|Num Authors|Purpose|Paper Link|Weights"
)
CV = "[Link](https://arxiv.org/abs/1512.03385)|[Link](https://github.com/osmr/imgclsmob/tree/master/pytorch)"
BENCHMARK = [
    f"resnet20_cifar10|resnet|CIFAR-10|natural|10|50000|0.99|0.94|0.05|0.75|0.76|0.53|0.54|0.6|0.61|0.62|0.63|CVPR|CV|2016|USA|4|benchmark|{CV}",
    f"dla34|dla|ImageNet1k|natural|1000|1281167|0.8|0.7|0.1|0.3|0.31|0|0|0|0|0|0|CVPR|CV|2018|China, USA|4|benchmark|{CV}",  # noqa: E501
    f"net.pth|resnet|bloodmnist|medical|8|11959|0|0.9|-0.9|0.8|0.81|0|0|0|0|0|0|arXiv|arXiv|2021|USA|8|other|{CV}",
]
SECURITY = "vgg_x|vgg|CIFAR-10|natural|10|50000|0.8|0.78|0.02|nan|nan|0.51|0.52|NeurIPS|ML|2020|UK|5|security|[Link](https://arxiv.org/pdf/2006.08403)|[Link](https://x/y)"


def table(headings: str, lines: list[str]) -> str:
    names = headings.split("|")
    return "\n".join(
        f"| {' | '.join(cells)} |" for cells in (names, [":--"] * len(names), *(line.split("|") for line in lines))
    )


@pytest.fixture
def securitynet(tmp_path: Path) -> Path:
    short = HEADINGS.replace("Wrn Accuracy|Wrn Agree|ImgNet Accuracy|ImgNet Agree|", "")
    path = tmp_path / "README.MD"
    path.write_text(
        "# SecurityNet Database\n\n## Benchmark Models\n"
        + table(HEADINGS, BENCHMARK)
        + "\n\n## Security Research Models\n"
        + table(short, [SECURITY])
        + "\n\n## New Models\n"
        + table("Title|Conference", ["A title|ICML"])
        + "\n"
    )
    return path


def test_securitynet_takes_zeros_and_nan_for_missing(securitynet: Path) -> None:
    tables = read_tables(securitynet)
    assert [len(part) for part in tables] == [3, 1, 1]
    cifar, imagenet, medical = tables.benchmark
    assert cifar.numbers["wrn_agreement"] == 0.61
    assert set(imagenet.numbers) == {"train_accuracy", "accuracy", "gap", "attack_accuracy", "agreement"}
    assert set(medical.numbers) == {"accuracy", "attack_accuracy", "agreement"}
    assert set(tables.security[0].numbers) == {"train_accuracy", "accuracy", "gap", "correctness_auc", "entropy_auc"}


def test_securitynet_joins_the_records_that_it_measured(securitynet: Path, tmp_path: Path) -> None:
    imported = read_file(securitynet)
    keep(tmp_path / "own", imported)
    catalogue = load_catalogue(tmp_path / "own")
    record = catalogue.get("pytorchcv/resnet20_cifar10")
    assert record.names == ("pytorchcv/resnet20_cifar10", "securitynet/benchmark/cifar-10/resnet20_cifar10#1")
    measured = {(one.protocol, one.metric): one.value for one in catalogue.measured(record)}
    assert measured["securitynet/stealing", "attack_accuracy"] == 0.75
    assert measured["securitynet/stealing-wrn50", "agreement"] == 0.61
    assert len(measured) == 8
    assert record.facts.country == ("USA",)
    alone = catalogue.get("securitynet/security/cifar-10/vgg_x#1")
    assert (alone.facts.purpose, alone.facts.model_type, alone.facts.paper) == ("security", "vgg", "2006.08403")
    assert "3 of them known before" not in " ".join(imported.summary(catalogue.records))


def test_importing_twice_changes_nothing(securitynet: Path, tmp_path: Path) -> None:
    folder = tmp_path / "own"
    keep(folder, read_file(securitynet))
    before = {path: path.read_bytes() for path in folder.rglob("*.jsonl")}
    keep(folder, read_file(securitynet))
    assert before == {path: path.read_bytes() for path in folder.rglob("*.jsonl")}
    assert len(before) == 2


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("## New Models", "## Newer", "README.MD is not SecurityNet's table: it has no part 'New Models'."),
        ("| 0.94 |", "| high |", "README.MD, line 6: Test Accuracy is 'high', not a number."),
        ("| 0.94 |", "|", "README.MD, line 6 has 24 cells; its heading has 25."),
    ],
)
def test_a_malformed_securitynet_table_names_the_line(securitynet: Path, old: str, new: str, message: str) -> None:
    securitynet.write_text(securitynet.read_text().replace(old, new, 1))
    with pytest.raises(LoadError) as caught:
        read_file(securitynet, "securitynet")
    assert str(caught.value) == message


INFO = {
    "link": "https://arxiv.org/abs/1905.13736",
    "authors": "A, B, C, D, E",
    "dataset": "cifar10",
    "venue": "NeurIPS 2019",
    "architecture": "WideResNet-28-10",
    "eps": "8/255",
    "clean_acc": "89.69",
    "autoattack_acc": "59.53",
    "external": None,
}


def test_robustbench(tmp_path: Path) -> None:
    folder = tmp_path / "model_info" / "cifar10" / "Linf"
    folder.mkdir(parents=True)
    (folder / "Carmon2019Unlabeled.json").write_text(json.dumps(INFO))
    (entry,) = read_file(tmp_path / "model_info").listing.entries
    assert (entry.top1, entry.robust_accuracy, entry.threat) == (0.8969, 0.5953, "Linf eps 8/255, AutoAttack")
    assert (entry.venue, entry.venue_type, entry.year, entry.authors) == ("NeurIPS", "ML", 2019, 5)
    catalogue = Catalogue(merge([*packaged(), read_file(tmp_path / "model_info").listing]))
    record = catalogue.get("robustbench/cifar10/Linf/Carmon2019Unlabeled")
    assert record.facts.robust_accuracy == 0.5953
    assert record.facts.paper == "1905.13736"
    assert record.facts.model_type == "wide-resnet"


TIMM = """model,img_size,top1,top1_err,top5,top5_err,param_count,crop_pct,interpolation
resnet18.tv_in1k,224,69.760,30.240,89.070,10.930,11.69,0.875,bilinear
eva_giant_patch14_560.m30m_ft_in22k_in1k,560,89.790,10.210,98.990,1.010,"1,014.45",1.000,bicubic
"""


def test_timm_results(tmp_path: Path) -> None:
    path = tmp_path / "results-imagenet.csv"
    path.write_text(TIMM)
    assert rows(path)[1].parameters == 1014.45
    imported = read_file(path)
    record = Catalogue(merge([*packaged(), imported.listing])).get("timm/resnet18.tv_in1k")
    assert "timm-results-imagenet/resnet18.tv_in1k@224" in record.names
    path.write_text(TIMM.replace("69.760", "many"))
    with pytest.raises(LoadError, match=r"results-imagenet.csv, line 2: could not convert"):
        read_file(path)
    path.write_text(TIMM.replace("top5,", "top6,"))
    with pytest.raises(LoadError, match="it has no column 'top5'"):
        read_file(path)


MANIFEST = [
    {
        "model": "MNIST",
        "model_path": "vision/classification/mnist/model/mnist-8.onnx",
        "metadata": {
            "model_sha": "2f06e72de813a8635c9bc0397ac447a601bdbfa7df4bebc278723b958831c9bf",
            "model_bytes": 26454,
            "tags": ["vision", "classification", "mnist"],
            "io_ports": {
                "inputs": [{"name": "Input3", "shape": [1, 1, 28, 28], "type": "tensor(float)"}],
                "outputs": [{"name": "Plus214_Output_0", "shape": [1, 10], "type": "tensor(float)"}],
            },
        },
    },
    {"model": "BERT", "model_path": "text/bert.onnx", "metadata": {"model_sha": "0" * 64, "tags": ["text"]}},
]


def test_onnx_hub(tmp_path: Path) -> None:
    path = tmp_path / "ONNX_HUB_MANIFEST.json"
    path.write_text(json.dumps(MANIFEST))
    (entry,) = read_file(path).listing.entries
    assert (entry.id, entry.input, entry.classes, entry.format) == ("onnx-hub/mnist-8", (1, 28, 28), 10, "onnx")
    assert entry.weights_digest == "sha256:" + MANIFEST[0]["metadata"]["model_sha"]  # type: ignore[index]
    path.write_text(json.dumps([{"model": "x"}]))
    with pytest.raises(LoadError, match=r"ONNX_HUB_MANIFEST.json, model 0 lacks 'metadata'"):
        read_file(path)


CARD = """---
license: mit
tags: [image-classification, "arxiv:1512.03385"]
datasets: [cifar10]
model-index:
- name: my resnet
  results:
  - task: {type: image-classification}
    dataset: {name: CIFAR-10, type: cifar10, split: test}
    metrics: [{type: accuracy, value: 93.1}]
---
# My ResNet
"""


def test_model_card(tmp_path: Path) -> None:
    pytest.importorskip("yaml")
    path = tmp_path / "README.md"
    path.write_text(CARD)
    (entry,) = read_file(path).listing.entries
    assert (entry.id, entry.licence, entry.paper) == ("model-card/my-resnet", "mit", "1512.03385")
    assert (entry.dataset, entry.top1, entry.evaluated_on) == ("cifar10", pytest.approx(0.931), "cifar10 test")
    path.write_text("---\nlicense: [mit\n---\n")
    with pytest.raises(LoadError, match=r"README.md is not a model card: while parsing"):
        read_file(path)
    path.write_text("# No facts\n")
    with pytest.raises(LoadError, match="does not start with facts between two lines"):
        read_file(path, "model-card")


@pytest.mark.parametrize(
    ("name", "text", "kind", "message"),
    [
        ("x.txt", "hello", None, "x.txt does not look like any file that can be imported"),
        ("x.txt", "hello", "securitynett", "cannot be imported: did you mean 'securitynet'?"),
        ("x.json", "{", None, "x.json is not a RobustBench model_info file"),
        ("x.json", "[]", None, "x.json is not a RobustBench model_info file"),
        ("ONNX_HUB_MANIFEST.json", "{}", None, "a list of models was expected"),
        ("ONNX_HUB_MANIFEST.json", "{", None, "is not JSON"),
    ],
)
def test_files_that_are_something_else(tmp_path: Path, name: str, text: str, kind: str | None, message: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(AssayError) as caught:
        read_file(tmp_path / name, kind)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="There is no file"):
        read_file(tmp_path / "none.csv")


@pytest.mark.data
def test_the_released_table_of_securitynet(real_data: Path) -> None:
    path = real_data / "securitynet" / "Database_README.MD"
    if not path.exists():
        pytest.skip("needs SecurityNet's table")
    tables = read_tables(path)
    assert [len(part) for part in tables] == [437, 92, 102]
    imported = read_file(path)
    assert len(imported.listing.entries) == 529
    counts = Counter((one.protocol, one.metric) for one in imported.measurements)
    assert counts["securitynet/stealing", "attack_accuracy"] == 437 + 72
    assert counts["securitynet/membership", "entropy_auc"] == 263 - 13 + 92
    assert counts["securitynet/stealing-wrn50", "agreement"] == 47 + 40 + 45
    assert counts["securitynet/stealing-imagenet-queries", "agreement"] == 47 + 40 + 45 + 14
    catalogue = Catalogue(merge([*packaged(), imported.listing]), imported.measurements)
    joined = [r for r in catalogue.records if len(r.names) > 1 and any(n.startswith("securitynet/") for n in r.names)]
    assert len(joined) >= 250
    assert all(catalogue.measured(record) for record in joined)


@pytest.mark.peers
@pytest.mark.skipif(
    "ASSAY_TIMM_RESULTS" not in os.environ, reason="needs ASSAY_TIMM_RESULTS, timm's results-imagenet.csv"
)
def test_parameters_equal_timms_published_numbers() -> None:
    """Every row that names a configuration of the catalogue, to the precision of the file (0.01 million)."""
    records = {name: record for record in merge(packaged()) for name in record.names}
    compared, different = 0, []
    for row in rows(Path(os.environ["ASSAY_TIMM_RESULTS"])):
        record = records.get(f"timm/{row.model}")
        if record is None or record.facts.parameters is None:
            continue
        compared += 1
        if abs(record.facts.parameters / 1e6 - row.parameters) > 0.005 + 1e-9:
            different.append((row.model, row.parameters, record.facts.parameters))
    assert compared >= 1250
    assert different == []
