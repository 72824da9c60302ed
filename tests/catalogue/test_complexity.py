from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import nn

from assay.base.errors import LoadError, UsageError
from assay.base.progress import silent
from assay.catalogue.catalogue import packaged
from assay.catalogue.enrich import computed_table
from assay.catalogue.merge import merge
from assay.catalogue.weights import Preprocessing
from assay.targets.complexity import complexity
from assay.targets.complexity_table import annotate, build_published
from assay.targets.module import Preprocessed

TWENTY = [
    "torchvision:squeezenet1_1",
    "torchvision:mobilenet_v2",
    "torchvision:shufflenet_v2_x0_5",
    "torchvision:mnasnet0_5",
    "torchvision:resnet18",
    "torchvision:mobilenet_v3_small",
    "timm:resnet10t.c3_in1k",
    "timm:mobilenetv3_small_050.lamb_in1k",
    "timm:lcnet_050.ra2_in1k",
    "timm:tinynet_e.in1k",
    "timm:efficientnet_lite0.ra_in1k",
    "timm:vit_tiny_patch16_224.augreg_in21k_ft_in1k",
    "timm:deit_tiny_patch16_224.fb_in1k",
    "timm:convnext_atto.d2_in1k",
    "timm:edgenext_xx_small.in1k",
    "timm:mobilevit_xxs.cvnets_in1k",
    "timm:levit_128s.fb_dist_in1k",
    "timm:regnetx_002.pycls_in1k",
    "timm:xcit_nano_12_p16_224.fb_in1k",
    "timm:repghostnet_050.in1k",
]


def by_hand(kernel: int, size: int, cin: int, cout: int) -> int:
    return kernel * kernel * size * size * cin * cout


def test_a_small_network_counted_by_hand() -> None:
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 4, 1, stride=2, bias=False),
        nn.Flatten(),
        nn.Dropout(0.5),
        nn.Linear(4 * 8 * 8, 10),
    )
    found = complexity(net, (3, 16, 16))
    assert found.parameters == (3 * 9 * 8 + 8) + 2 * 8 + 8 * 4 + (256 * 10 + 10)
    assert found.macs == by_hand(3, 16, 3, 8) + by_hand(1, 8, 8, 4) + 256 * 10
    assert (found.dropout, found.batch_norm, found.layer_norm, found.attention) == (True, True, False, False)


def test_attention_is_counted_and_told_from_gates() -> None:
    class SplitAttention(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x

    class Net(nn.Module):
        def __init__(self, attend: bool) -> None:
            super().__init__()
            self.gate = SplitAttention()
            self.norm = nn.LayerNorm(16)
            self.attend = nn.MultiheadAttention(16, 2, batch_first=True, bias=False) if attend else None

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            tokens = self.norm(self.gate(x).flatten(1).unflatten(1, (-1, 16)))
            return self.attend(tokens, tokens, tokens)[0] if self.attend else tokens

    found = complexity(Net(attend=True), (1, 8, 16))
    projections, products = 4 * 8 * 16 * 16, 2 * 8 * 8 * 16
    assert found.macs == projections + products
    assert (found.attention, found.layer_norm, found.dropout) == (True, True, False)
    assert not complexity(Net(attend=False), (1, 8, 16)).attention


def test_an_image_that_does_not_fit_is_one_sentence() -> None:
    with pytest.raises(LoadError, match="Linear cannot process an image of 3x4x4"):
        complexity(nn.Linear(7, 2), (3, 4, 4))


@pytest.mark.parametrize(
    ("builder", "message"),
    [
        ("tensorflow:resnet", "No installed package builds 'tensorflow:resnet'; known: timm, torchvision, pytorchcv."),
        ("torchvision:resnet19", "torchvision has no classifier 'resnet19': did you mean 'resnet1"),
        ("timm:resnet19", "timm has no network 'resnet19': did you mean 'resnet1"),
    ],
)
def test_what_cannot_be_built_says_so(builder: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        build_published(builder, None, None)


@pytest.fixture
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("one_thread")
def test_twenty_entries_of_many_families_build_run_and_match_their_records() -> None:
    records = {record.facts.builder: record for record in merge(packaged()) if record.facts.builder}
    for builder in TWENTY:
        facts = records[builder].facts
        assert facts.input
        assert facts.preprocessing
        assert facts.classes
        module = build_published(builder, facts.classes, facts.input, "cpu").eval()
        assert sum(parameter.numel() for parameter in module.parameters()) == facts.parameters
        preprocessing = Preprocessing(mean=facts.preprocessing.mean, std=facts.preprocessing.std)
        with torch.no_grad():
            answer = Preprocessed(module, preprocessing)(torch.rand(1, *facts.input))
        assert tuple(answer.shape) == (1, facts.classes)
        assert torch.isfinite(answer).all()
    assert len(TWENTY) == 20
    assert len({records[builder].facts.model_type for builder in TWENTY}) >= 4


def test_an_interrupted_table_goes_on_where_it_stopped(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    from assay.catalogue.entry import Entry
    from assay.targets import complexity_table as published

    def only(entries):  # type: ignore[no-untyped-def]
        return [
            published.Job((entry.builder, None, entry.input), entry.builder, None, entry.input) for entry in entries
        ]

    entries = [
        Entry(id=f"torchvision/{name}", builder=f"torchvision:{name}", input=(3, 224, 224))
        for name in ("squeezenet1_0", "squeezenet1_1")
    ]
    monkeypatch.setattr(published, "jobs", only)
    whole, table = tmp_path / "whole.csv", tmp_path / "table.csv"
    assert annotate(entries, whole, silent()) == {}
    lines = whole.read_text().splitlines()
    assert lines[1:] == [
        "torchvision:squeezenet1_0,3x224x224," + lines[1].split(",", 2)[2],
        "torchvision:squeezenet1_1,3x224x224," + lines[2].split(",", 2)[2],
    ]
    table.with_suffix(".partial").write_text(lines[1] + "\n")
    built = []
    real = published.build_published
    monkeypatch.setattr(published, "build_published", lambda *args: built.append(args[0]) or real(*args))
    annotate(entries, table, silent())
    assert built == ["torchvision:squeezenet1_1"]
    assert table.read_bytes() == whole.read_bytes()
    assert computed_table()["torchvision:squeezenet1_0"][0].parameters == int(lines[1].split(",")[2])
