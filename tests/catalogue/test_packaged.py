"""The catalogue that comes with Assay."""

from __future__ import annotations

import csv
import random
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path

import pytest

from assay.base.errors import UsageError
from assay.base.progress import silent
from assay.catalogue.catalogue import Catalogue, load_catalogue, packaged
from assay.catalogue.curated import curated
from assay.catalogue.enrich import computed_table
from assay.catalogue.generate import COMPUTED, FOLDER, generate, newer_packages, staleness
from assay.catalogue.merge import merge
from assay.catalogue.stats import statistics
from assay.catalogue.table import Search


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return Catalogue(merge(packaged()))


def test_it_says_which_models_load(catalogue: Catalogue) -> None:
    found = statistics(catalogue.records)
    assert sum(found.loading.values()) == found.records
    assert found.loading["offline"] == sum(name.startswith("starter/") for name in curated())
    assert found.loading["online"] >= 800
    search = Search(catalogue)
    assert {record.id.partition("/")[0] for record in search.find('loads = "offline"')} == {"starter"}
    named = search.find('loads = "never" and id ~ "pytorchcv/resnet20"')
    assert "pytorchcv/resnet20_cifar10" in {record.id for record in named}


def test_thousands_of_classifiers_of_ten_data_sets(catalogue: Catalogue) -> None:
    found = statistics(catalogue.records)
    assert found.classifiers >= 3000
    assert found.datasets >= 10
    assert found.buildable >= 2000
    assert found.with_parameters >= 0.95 * found.buildable
    assert found.with_macs >= 0.85 * found.buildable
    assert {row.field for row in found.coverage if row.share > 0.9} >= {
        "dataset",
        "classes",
        "year",
        "paper",
        "model_type",
    }


def test_every_value_has_an_origin_and_nothing_else_has(catalogue: Catalogue) -> None:
    for record in catalogue.records:
        known = {name for name, value in record.facts if value is not None}
        assert set(record.origins) == known


def test_every_record_is_found_by_every_name(catalogue: Catalogue) -> None:
    names = [name for record in catalogue.records for name in record.names]
    assert len(names) == len(set(names))
    assert all(catalogue.get(name).id == record.id for record in catalogue.records for name in record.names)
    with pytest.raises(UsageError, match="did you mean 'torchvision/resnet50/IMAGENET1K_V"):
        catalogue.get("torchvision/resnet50/IMAGENET1K_V3")


def test_duplicates_of_different_sources_are_merged(catalogue: Catalogue) -> None:
    record = catalogue.get("timm/resnet18.tv_in1k")
    assert record is catalogue.get("torchvision/resnet18/IMAGENET1K_V1")
    assert {source.split()[0] for source in record.sources} == {"torchvision", "timm"}
    assert (record.facts.parameters, record.facts.year, record.facts.venue) == (11_689_512, 2016, "CVPR")


def test_the_packaged_listings_are_not_stale() -> None:
    assert staleness() == []


def test_another_version_of_a_package_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    versions = {"timm": "99.0", "torchvision": "0.28.0"}

    def version(name: str) -> str:
        if name not in versions:
            raise metadata.PackageNotFoundError(name)
        return versions[name]

    monkeypatch.setattr(metadata, "version", version)
    assert newer_packages() == ["timm 99.0 is installed, and the catalogue describes 1.0.31."]


@pytest.mark.parametrize("name", ["torchvision", "timm", "pytorchcv"])
def test_generating_again_gives_the_packaged_bytes(name: str, tmp_path: Path) -> None:
    try:
        installed = metadata.version(name)
    except metadata.PackageNotFoundError:
        pytest.skip(f"{name} is not installed")
    if any(line.startswith(f"{name} ") for line in newer_packages()):
        pytest.skip(f"{name} {installed} is another version than the catalogue describes")
    for folder in ("one", "two"):
        generate((name,), None, tmp_path / folder, silent())
    one, two = ((tmp_path / folder / f"{name}.jsonl").read_bytes() for folder in ("one", "two"))
    assert one == two
    assert one == (FOLDER / f"{name}.jsonl").read_bytes()


def test_the_table_of_computed_annotations_is_sorted_and_whole() -> None:
    with COMPUTED.open(newline="") as file:
        rows = list(csv.DictReader(file))
    keys = [(row["builder"], row["input"]) for row in rows]
    assert keys == sorted(set(keys))
    table = computed_table()
    missing = [
        entry.builder
        for listing in packaged()
        for entry in listing.entries
        if entry.builder and entry.builder not in table
    ]
    assert missing == []


def test_computing_again_gives_the_packaged_numbers() -> None:
    from assay.targets.complexity import complexity
    from assay.targets.complexity_table import build_published

    if newer_packages():
        pytest.skip("another version of a package is installed than the catalogue describes")
    table = computed_table()
    small = sorted(
        builder
        for builder, rows in table.items()
        if builder.startswith(("timm:", "torchvision:")) and rows[0].macs < 5e8 and rows[0].parameters < 10_000_000
    )
    for builder in random.Random(0).sample(small, 8):
        row = table[builder][0]
        assert complexity(build_published(builder, None, row.input), row.input) == row


def test_torchvision_counts_the_same_macs() -> None:
    """For at least 64 of the 65 classifiers that can be built on the meta device (all but the regnets), within 1 %."""
    (listing,) = (one for one in packaged() if one.source.name == "torchvision")
    table = computed_table()
    errors = {}
    for entry in listing.entries:
        assert entry.builder
        assert entry.macs
        counted = next(row.macs for row in table[entry.builder] if row.input == entry.input)
        errors.setdefault(entry.builder, abs(counted - entry.macs) / entry.macs)
    without_regnets = {name: error for name, error in errors.items() if "regnet" not in name}
    assert len(without_regnets) == 65
    assert sum(error <= 0.01 for error in without_regnets.values()) >= 64


def test_torchvision_has_the_same_parameters() -> None:
    (listing,) = (one for one in packaged() if one.source.name == "torchvision")
    table = computed_table()
    for entry in listing.entries:
        assert entry.builder
        assert next(row.parameters for row in table[entry.builder] if row.input == entry.input) == entry.parameters


def test_pytorchcv_has_the_same_parameters() -> None:
    """But for X-DenseNets, where pytorchcv counts only the weights that its fixed masks leave."""
    (listing,) = (one for one in packaged() if one.source.name == "pytorchcv")
    table = computed_table()
    different = {
        e.architecture for e in listing.entries if e.builder and table[e.builder][0].parameters != e.parameters
    }
    assert different == {"xdensenet40_2_k24_bc", "xdensenet40_2_k36_bc"}


def test_a_search_answers_at_once(catalogue: Catalogue) -> None:
    search = Search(catalogue)
    start = time.process_time()
    found = search.find('dataset = "cifar10" and params < 1e6 order by top1 desc')
    assert time.process_time() - start < 0.3
    assert len(found) >= 10
    assert all(record.facts.dataset == "cifar10" for record in found)


def test_loading_imports_no_torch() -> None:
    code = (
        "import sys; from assay.catalogue.catalogue import load_catalogue; load_catalogue();"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_packaged_data_stay_small() -> None:
    assert sum(path.stat().st_size for path in COMPUTED.parent.rglob("*") if path.is_file()) < 4_000_000


def test_a_damaged_file_of_the_users_own_is_named(tmp_path: Path) -> None:
    from assay.base.errors import LoadError

    (tmp_path / "mine.jsonl").write_text('{"name":"mine","title":"Mine"}\nnonsense\n')
    with pytest.raises(LoadError, match=r"mine.jsonl, line 2"):
        load_catalogue(tmp_path)
