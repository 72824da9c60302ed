"""``assay recorded`` from files to the terminal, a page and JSON."""

import gzip
import json

from assay.cli import main

ROWS = "".join(f"e{i}\t{i % 3}\t{i % 3 if i % 4 else 0}\t0\t0.{i % 9 + 1}\t{i % 2}\t0\t0.9\n" for i in range(60))
TABLE = "example\ttrue\tA_pred\tA_orig\tA_conf\tB_pred\tB_orig\tB_conf\n" + ROWS


def test_services_are_listed_and_compared(tmp_path, capsys):
    (tmp_path / "FACES.tsv.gz").write_bytes(gzip.compress(TABLE.encode()))
    assert main(["recorded", "list", str(tmp_path)]) == 0
    assert "FACES" in capsys.readouterr().out
    assert main(["recorded", "compare", str(tmp_path), "FACES", "--out", str(tmp_path / "x.json")]) == 0
    services, pairs = json.loads((tmp_path / "x.json").read_text())["tables"]
    assert [row["service"] for row in services["rows"]] == ["A", "B"]
    assert services["rows"][0]["accuracy"] == 50 / 60
    assert services["rows"][0]["$ / 10,000"] is None
    assert [(row["first"], row["second"]) for row in pairs["rows"]] == [("A", "B")]
    assert main(["recorded", "compare", str(tmp_path), "--out", str(tmp_path / "x.svg")]) == 0
    assert "FACES: agreement" in (tmp_path / "x.svg").read_text()


def test_a_change_is_told(tmp_path, capsys):
    place = tmp_path / "fer" / "faces" / "x_fer"
    place.mkdir(parents=True)
    truth = [{"example_id": f"e{i}", "true_label": i % 3} for i in range(90)]
    (place.parent / "labels.json").write_text(json.dumps(truth))
    for date, wrong in (("20-03-01", -1), ("21-03-01", 1)):
        labels = [0 if i % 3 == wrong else i % 3 for i in range(90)]
        rows = [{"example_id": f"e{i}", "predicted_label": label, "confidence": 0.9} for i, label in enumerate(labels)]
        (place / f"{date}.json").write_text(json.dumps(rows))
    files = [str(place / "21-03-01.json"), str(place / "20-03-01.json")]
    assert main(["recorded", "change", *files, "--out", str(tmp_path / "x.json")]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "20-03-01 to 21-03-01: x_fer changed 30 of 90 answers" in said
    assert "became worse overall; classes whose accuracy changed: 1." in said
    rows = json.loads((tmp_path / "x.json").read_text())["tables"][0]["rows"]
    assert [row["true class"] for row in rows] == ["all", "0", "1", "2"]
    assert rows[2]["change"] == -1.0


def test_what_is_refused_is_one_sentence(tmp_path, capsys):
    for arguments, code in (
        (["list", str(tmp_path / "gone")], 4),
        (["compare", str(tmp_path)], 4),
        (["change", str(tmp_path / "a.json")], 2),
    ):
        assert main(["recorded", *arguments]) == code
        said = capsys.readouterr().err
        assert said.count("assay:") == 1
        assert "Traceback" not in said
