from __future__ import annotations

import pytest

from assay.base.errors import UsageError
from assay.catalogue.codebook import CODEBOOK, CODES, Facts, agree, code
from assay.catalogue.names import dataset_name, datasets, families, family, require_dataset


def test_the_thirteen_codes_of_securitynet() -> None:
    assert CODES == (
        "task",
        "dataset",
        "topic",
        "granularity",
        "training_size",
        "classes",
        "input",
        "venue",
        "venue_type",
        "year",
        "authors",
        "affiliation",
        "country",
    )


def test_every_field_says_what_it_means_and_is_unknown_by_default() -> None:
    assert all(known.description for known in CODEBOOK.values())
    assert all(value is None for value in Facts().model_dump().values())
    assert CODEBOOK["macs"].unit == "MAC"


def test_an_unknown_code_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean 'licence'"):
        code("license")


@pytest.mark.parametrize(
    ("name", "one", "other", "expected"),
    [
        ("parameters", 1_000_000, 1_009_000, True),
        ("parameters", 1_000_000, 1_020_000, False),
        ("macs", 100, 109, True),
        ("macs", 100, 120, False),
        ("top1", 0.700, 0.704, True),
        ("top1", 0.70, 0.71, False),
        ("year", 2016, 2017, False),
        ("licence", "mit", "MIT", True),
        ("weights_digest", "sha256:12345678", "sha256:1234567890abcdef", True),
        ("weights_digest", "sha256:12345678", "sha256:87654321", False),
        ("weights_digest", "sha256:12345678", "sha1:87654321", True),
    ],
)
def test_what_counts_as_agreement(name: str, one: object, other: object, expected: bool) -> None:
    assert agree(name, one, other) is expected
    assert agree(name, other, one) is expected


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("ImageNet1k", "imagenet-1k"),
        ("imagenet_1k", "imagenet-1k"),
        ("ILSVRC2012", "imagenet-1k"),
        ("CIFAR-10", "cifar10"),
        ("cifar 10", "cifar10"),
        ("CUB-200-2011", "cub200"),
        ("Fashion MNIST", "fashion-mnist"),
        ("ImageNet-22k", "imagenet-21k"),
        ("cifar11", None),
    ],
)
def test_one_name_for_each_data_set(text: str, name: str | None) -> None:
    assert dataset_name(text) == name


def test_an_unknown_data_set_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean 'cifar10' or 'cifar100'"):
        require_dataset("CIFAR-11")


def test_data_sets_fit_the_codebook() -> None:
    for known in datasets().values():
        Facts.model_validate(known.facts)


@pytest.mark.parametrize(
    ("architecture", "name"),
    [
        ("resnet50", "resnet"),
        ("gluon_resnet50_v1b", "resnet"),
        ("ResNet-50", "resnet"),
        ("resnext101_32x8d", "resnext"),
        ("seresnet50", "seresnet"),
        ("preresnet20", "preresnet"),
        ("wrn28_10", "wide-resnet"),
        ("WideResNet-28-10", "wide-resnet"),
        ("wide_resnet50_2", "wide-resnet"),
        ("resnetv2_50x1_bit", "bit"),
        ("resnetv2_50", "resnetv2"),
        ("tf_efficientnet_b0", "efficientnet"),
        ("tf_efficientnetv2_s", "efficientnet-v2"),
        ("vit_base_patch16_224", "vit"),
        ("vit_base_r50_s16_224", "vit-hybrid"),
        ("deit3_base_patch16_224", "deit3"),
        ("beit3_base_patch16_224", "beit3"),
        ("mobilenetv3_large_100", "mobilenet-v3"),
        ("mobilenet_wd4", "mobilenet"),
        ("swinv2_base_window12_192", "swin-v2"),
        ("regnetz_b16", "regnet-z"),
        ("regnety_032", "regnet"),
        ("efficientvit_m5", "efficientvit-msra"),
        ("something else", None),
    ],
)
def test_families_of_architectures(architecture: str, name: str | None) -> None:
    found = family(architecture)
    assert (found.name if found else None) == name


def test_each_family_is_listed_once() -> None:
    names = [known.name for known in families()]
    assert len(names) == len(set(names))
