"""``assay catalogue`` and ``assay analysis`` from the command line."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from assay.cli import main


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ASSAY_HOME", str(tmp_path / "home"))
    return tmp_path / "home" / "catalogue"


def run(*arguments: str | Path) -> int:
    return main([str(argument) for argument in arguments])


def refused(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str]:
    code = run(*arguments)
    error = capsys.readouterr().err.strip()
    assert "Traceback" not in error
    assert "\n" not in error
    return code, error


def test_search(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    query = 'dataset = "cifar10" and params < 1e6 order by top1 desc limit 3'
    assert run("catalogue", "search", query, "--out", tmp_path / "found.html") == 0
    out = capsys.readouterr().out
    assert "3 of " in out
    assert "pytorchcv/" in out
    assert "Accuracy and size" in (tmp_path / "found.html").read_text()
    assert run("catalogue", "search", "year = 1990") == 0
    assert "0 of " in capsys.readouterr().out


def test_a_typo_is_a_usage_error_that_names_the_field(capsys: pytest.CaptureFixture[str]) -> None:
    code, error = refused(capsys, "catalogue", "search", "datset = cifar10")
    assert code == 4
    assert error.endswith("There is no field 'datset' to search by: did you mean 'dataset'?")


def test_show_stats_and_codebook(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("catalogue", "show", "torchvision/resnet18/IMAGENET1K_V1") == 0
    out = capsys.readouterr().out
    assert "Also known as timm/resnet18.tv_in1k." in out
    assert "11689512" in out
    assert "computed" in out
    assert run("catalogue", "stats", "country = France") == 0
    assert "Known of how many" in capsys.readouterr().out
    assert run("catalogue", "codebook") == 0
    assert "multiply-accumulates per image" in capsys.readouterr().out
    code, error = refused(capsys, "catalogue", "show", "timm/resnet18.tv_in2k")
    assert code == 4
    assert "did you mean 'timm/resnet18" in error


def test_export(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import pyarrow.parquet as pq

    for suffix in ("csv", "json", "parquet"):
        assert run("catalogue", "export", tmp_path / f"x.{suffix}", "dataset = svhn order by id") == 0
    rows = list(csv.DictReader((tmp_path / "x.csv").open()))
    records = json.loads((tmp_path / "x.json").read_text())
    table = pq.read_table(tmp_path / "x.parquet")
    assert [row["id"] for row in rows] == [r["id"] for r in records] == table["id"].to_pylist()
    assert len(rows) >= 50
    assert records[-1]["origins"]["dataset"].startswith("pytorchcv")
    assert table.schema.field("macs").metadata[b"unit"] == b"MAC"
    assert rows[-1]["parameters"] == str(table["parameters"][-1].as_py())
    capsys.readouterr()
    code, error = refused(capsys, "catalogue", "export", tmp_path / "x.xlsx")
    assert code == 4
    assert error.endswith("exported as .parquet, .csv, .json, not as .xlsx.")


def test_add_and_two_records_with_one_id(tmp_path: Path, capsys: pytest.CaptureFixture[str], home: Path) -> None:
    card = tmp_path / "card.toml"
    card.write_text('id = "own/mine"\ndataset = "CIFAR-10"\narchitecture = "resnet18"\n')
    assert run("catalogue", "add", card) == 0
    assert "own/mine" in capsys.readouterr().out
    code, error = refused(capsys, "catalogue", "add", card)
    assert (code, "was added before" in error) == (2, True)
    file = home / "own.jsonl"
    file.write_text(file.read_text() + file.read_text().splitlines()[1] + "\n")
    code, error = refused(capsys, "catalogue", "search")
    assert (code, "lists 2 models under one id, 'own/mine'" in error) == (2, True)


def test_import_a_file_that_contradicts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "results-imagenet.csv"
    path.write_text(
        "model,img_size,top1,top1_err,top5,top5_err,param_count,crop_pct,interpolation\n"
        "resnet18.tv_in1k,224,60.0,40.0,89.07,10.93,11.69,0.875,bilinear\n"
    )
    assert run("catalogue", "import", path) == 0
    out = capsys.readouterr().out
    assert "1 models, 1 of them known before, 0 measurements." in out
    assert "Of 1 models it contradicts another source" in out
    assert run("catalogue", "show", "timm/resnet18.tv_in1k") == 0
    out = capsys.readouterr().out
    assert "Contradictions" in out
    assert "0.6 " in out
    assert "0.69758" in out


def test_annotation_by_two_people(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project = tmp_path / "project"
    common = ("--project", project)
    code, error = refused(
        capsys, "catalogue", "annotate", "timm/resnet18.a1_in1k", "--coder", "ann", "--set", "year=2016", *common
    )
    assert code == 4
    assert "There is no coder 'ann'" in error
    models = ["timm/resnet18.a1_in1k", "timm/vit_tiny_patch16_224.augreg_in21k_ft_in1k", "timm/convnext_atto.d2_in1k"]
    for coder, answers in (("ann", ["academia", "industry", "both"]), ("ben", ["industry", "industry", "both"])):
        for model, answer in zip(models, answers, strict=True):
            values = ("--set", f"affiliation={answer}", "--set", "task=image classification")
            assert run("catalogue", "annotate", model, "--coder", coder, "--new-coder", *values, *common) == 0
    assert "academia (ann); industry (ben)" in capsys.readouterr().out
    assert run("catalogue", "agreement", *common, "--out", tmp_path / "agreement.html") == 0
    out = capsys.readouterr().out
    assert "affiliation" in out
    assert "0.5" in out
    assert "overall" in out
    assert run("catalogue", "settle", *common) == 0
    assert "3 models annotated by majority." in capsys.readouterr().out
    code, error = refused(capsys, "catalogue", "annotate", models[0], "--coder", "bean", "--set", "year=2016", *common)
    assert "did you mean 'ben'" in error
    code, error = refused(capsys, "catalogue", "annotate", models[0], "--coder", "ben", "--set", "yaer=2016", *common)
    assert "The codebook has no code 'yaer': did you mean 'year'" in error


def test_join_a_workspace_that_is_empty(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, error = refused(capsys, "catalogue", "join", tmp_path / "workspace")
    assert (code, "There is no workspace" in error) == (4, True)
    (tmp_path / "workspace").mkdir()
    assert run("catalogue", "join", tmp_path / "workspace") == 0
    assert "0 measurements of 0 models joined." in capsys.readouterr().out


def test_correlate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "t.csv"
    path.write_text("x,y\n" + "".join(f"{i},{(i * 7) % 11 + i}\n" for i in range(20)))
    assert run("analysis", "correlate", path, "--x", "x", "--y", "y", "--out", tmp_path / "t.html") == 0
    assert "r without some rows" in capsys.readouterr().out
    assert (tmp_path / "t.html").stat().st_size > 100_000
    code, error = refused(capsys, "analysis", "correlate", path)
    assert (code, "say which to correlate with --x and --y" in error) == (4, True)
    (tmp_path / "README.MD").write_text("# Something\n")
    code, error = refused(capsys, "analysis", "correlate", tmp_path / "README.MD")
    assert (code, "is not SecurityNet's table" in error) == (2, True)


@pytest.mark.data
def test_correlate_securitynet(real_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = real_data / "securitynet" / "Database_README.MD"
    if not table.exists():
        pytest.skip("needs SecurityNet's table")
    assert run("analysis", "correlate", table, "--out", tmp_path / "claims.html") == 0
    out = capsys.readouterr().out
    assert "437 benchmark and 92 security models; 102 titles without measurements." in out
    assert "0.9875" in out
    assert "within the interval" in out
    page = (tmp_path / "claims.html").read_text()
    assert "Agreement and attack accuracy (D1)" in page
    assert "without the weakest victims" in page
