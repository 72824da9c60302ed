from __future__ import annotations

import base64
import json
import re
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from assay.methods.finding import Metric, Scale
from assay.reports.charts import VARIABLES
from assay.reports.format import scale_text
from assay.reports.html import render_html, servings, versions, write_html
from assay.reports.pages import bar, technique
from assay.reports.report import Report, assemble, write_json
from assay.reports.terminal import print_summary
from reports.pages import Page
from reports.samples import (
    HOSTILE,
    histogram_figure,
    outcome,
    outcomes,
    png,
    ratio,
    roc_figure,
    table_figure,
    target,
    unfinished,
)

CSS = (Path(__file__).parents[2] / "src/assay/reports/templates/style.css").read_text()


@pytest.fixture
def report(tmp_path: Path) -> Report:
    return assemble(outcomes(tmp_path))


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Page:
    workspace = tmp_path_factory.mktemp("workspace")
    return Page(render_html(assemble(outcomes(workspace)), workspace / "artefacts"))


def test_nothing_is_fetched_and_no_script_runs(page: Page) -> None:
    assert page.fetched() == []
    assert page.open == []
    assert not page.find("script")
    (policy,) = (tag["content"] for tag in page.find("meta") if "http-equiv" in tag)
    assert policy == "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    assert not [name for _, tag in page.tags for name in tag if name.startswith("on")]


def test_links_go_to_the_page_or_to_papers_and_techniques(page: Page) -> None:
    ids = {tag["id"] for _, tag in page.tags if "id" in tag}
    for link in page.find("a"):
        address = link["href"]
        assert address[1:] in ids if address.startswith("#") else address.startswith("https://")
    assert "https://atlas.mitre.org/techniques/AML.T0024.000" in {link["href"] for link in page.find("a")}


def test_ids_are_unique(page: Page) -> None:
    ids = [tag["id"] for _, tag in page.tags if "id" in tag]
    assert len(ids) == len(set(ids))


def test_page_json_and_terminal_agree(report: Report, page: Page, tmp_path: Path) -> None:
    write_json(report, tmp_path / "report.json")
    stored = json.loads((tmp_path / "report.json").read_text())
    file = StringIO()
    print_summary(report, Console(file=file, width=160))
    printed = file.getvalue()
    checked = 0
    for answer in stored["answers"]:
        assert answer["level"].capitalize() in page.text
        if not answer["metric"]:
            continue
        value, low, high = answer["metric"]["value"], *(answer["metric"]["interval"][end] for end in ("low", "high"))
        number = r"(-?[\d,.]+)(?: %)? \[(-?[\d,.]+), (-?[\d,.]+)\]"
        for shown in (page.text, printed):
            found = [[float(part.replace(",", "")) for part in match] for match in re.findall(number, shown)]
            half = (high - low) / 2
            assert any(
                all(abs(a - b) <= 0.05 * half for a, b in zip(one, (value, low, high), strict=True)) for one in found
            )
            checked += 1
    assert checked == 6


def test_everything_a_reader_needs_is_there(report: Report, page: Page) -> None:
    for part in (
        report.summary,
        "22 November 2025, 09:30 UTC",
        "1,797 images of a budget of 2,000, in 8 calls",
        "12 images, free",
        "$2.70",
        "1,000 images",
        "95 %, Clopper-Pearson",
        "797 non-members cannot support a false-positive rate of 0.1 %; 1,000 are needed.",
        "no number",
        "One run; no interval.",
        "epochs 30, optimiser sgd",
        "black-box, posteriors",
        "decides the answer",
        "name rounding, decimals 3",
        "The surrogate did not train: loss is NaN.",
        "It needs posteriors, and the target answers with label only.",
        "Use these methods only on models that you own or are allowed to test.",
        report.target.weights_digest,
        report.target.data["members"].digest,
        report.outcomes[0].key,
        "2.13.0",
    ):
        assert part in page.text


def test_every_figure_is_drawn(report: Report, page: Page) -> None:
    figures = [figure for one in report.outcomes for figure in one.figures]
    assert len(page.find("figure")) == len(figures) == 6
    for figure in figures:
        assert figure.title in page.text
        assert figure.caption in page.text
    assert len([tag for tag in page.find("svg") if tag.get("class") == "marks"]) == 4


def test_images_are_inside_and_missing_ones_are_said(page: Page) -> None:
    images = page.find("img")
    contents = [base64.b64decode(tag["src"].removeprefix("data:image/png;base64,")) for tag in images]
    assert contents == [png(place) for place in range(5)]
    assert images[3]["alt"] == "one, taken for seven, image"
    assert page.text.count("image not kept") == 1


def test_an_image_that_is_not_what_was_measured_is_left_out(report: Report, tmp_path: Path) -> None:
    (evasion,) = report.of("evasion")
    file = tmp_path / "artefacts" / evasion.key / "0-1.png"
    file.write_bytes(png(99))
    assert Page(render_html(assemble([evasion]), tmp_path / "artefacts")).text.count("image not kept") == 2


def test_a_gallery_cannot_name_files_that_are_no_artefacts(report: Report, tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes(png(1))
    (evasion,) = report.of("evasion")
    gallery = evasion.figures[0].model_copy(update={"files": [["../../secret.png"]]})
    again = assemble([evasion.model_copy(update={"figures": [gallery]})])
    assert not Page(render_html(again, tmp_path / "artefacts")).find("img")


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    facts = target(HOSTILE)
    one = outcome(
        "evasion",
        HOSTILE,
        facts=facts,
        sentence=HOSTILE,
        metrics=[ratio(HOSTILE, HOSTILE, 0.5, 0.4, 0.6, HOSTILE, note=HOSTILE, unit=HOSTILE)],
        figures=[
            roc_figure(**{HOSTILE: 0.5, "b": 0.2}).model_copy(update={"title": HOSTILE, "x_label": HOSTILE}),
            histogram_figure().model_copy(update={"caption": HOSTILE, "markers": {HOSTILE: 0.5}}),
            table_figure().model_copy(update={"columns": [HOSTILE] * 3, "rows": [[HOSTILE, 1.0, None]]}),
        ],
    )
    method = one.method.model_copy(
        update={"atlas": (HOSTILE,), "paper": f"https://x.org/{HOSTILE}", "options": {HOSTILE: HOSTILE}}
    )
    text = render_html(
        assemble([one.model_copy(update={"method": method}), unfinished("stealing", "A", "failed", HOSTILE, facts)]),
        tmp_path,
    )
    page = Page(text)
    assert not page.find("script")
    assert page.open == []
    assert "49" not in re.findall(r"\{\{ (\S+) ", text)
    assert page.text.count(HOSTILE) > 12


def test_an_empty_figure_is_said(tmp_path: Path) -> None:
    empty = roc_figure(a=0.1).model_copy(update={"series": []})
    text = render_html(assemble([outcome("membership", "A", figures=[empty])]), tmp_path)
    assert "There is nothing to draw" in text


def test_the_same_outcomes_make_the_same_page(tmp_path: Path) -> None:
    report = assemble([outcome("membership", "A", figures=[roc_figure(a=0.5), histogram_figure()])])
    for name in ("a.html", "b.html"):
        write_html(report, tmp_path / "artefacts", tmp_path / "made" / name)
    assert (tmp_path / "made/a.html").read_bytes() == (tmp_path / "made/b.html").read_bytes()


def test_versions_and_servings_are_listed_once(report: Report) -> None:
    other = report.outcomes[0].model_copy(update={"versions": {"torch": "2.14.0"}, "serving": {"output": "label"}})
    assert versions([*report.outcomes, other])["torch"] == ["2.13.0", "2.14.0"]
    assert [len(titles) for _, titles in servings([*report.outcomes, other])] == [3, 1]


AUC = Scale(risk="up", chance=0.5, low=0.55, high=0.6)
P_VALUE = Scale(risk="down", chance=0.5, high=0.05, log=True)


def test_a_bar_lies_on_its_own_scale_and_runs_towards_the_risk() -> None:
    found = bar(ratio("m", "M", 0.6, 0.55, 0.65, "bootstrap", scale=AUC))
    assert found is not None
    assert found[:3] == pytest.approx((100 / 1.65, 50 / 1.65, 150 / 1.65))
    assert found.marks == pytest.approx((50 / 1.65, 100 / 1.65))
    alarm, quiet = (Metric(name="p", label="p", value=p, note="None.", scale=P_VALUE) for p in (0.01, 0.3))
    assert bar(alarm).value > bar(alarm).marks[0] > bar(quiet).value > 0  # type: ignore[union-attr]
    assert bar(alarm.model_copy(update={"value": 1e-300})).value == 100  # type: ignore[union-attr]
    below = bar(ratio("m", "M", 0.45, 0.4, 0.5, "bootstrap", scale=AUC))
    assert below is not None
    assert below[:3] == (0, 0, 0)
    assert scale_text(alarm) == "chance 0.5, high down from 0.05; lower is riskier"
    assert scale_text(alarm.judged_by(AUC)) == "chance 0.5, low below 0.55, high from 0.6; higher is riskier"
    assert bar(ratio("m", "M", 0.5, 0.4, 0.6, "bootstrap")) is bar(None) is None
    assert scale_text(None) == ""


def test_what_is_no_technique_is_no_link() -> None:
    assert str(technique("AML.T0042")) == '<a href="https://atlas.mitre.org/techniques/AML.T0042">AML.T0042</a>'
    assert "<a" not in technique("../evil")


def variables(block: str) -> dict[str, str]:
    return dict(re.findall(r"(--[\w-]+): (#[0-9a-f]{3,6})", block))


def luminance(colour: str) -> float:
    channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_charts_and_page_share_one_palette_that_can_be_read() -> None:
    blocks = re.findall(r":root \{(.*?)\}", CSS, re.DOTALL)
    light, dark = variables(blocks[0]), variables(blocks[1])
    assert light.keys() == dark.keys()
    for colour, variable in VARIABLES.items():
        assert light[variable] == colour
    for palette in (light, dark):
        for name, colour in palette.items():
            if name not in ("--paper", "--raised", "--line"):
                assert contrast(colour, palette["--paper"]) >= 4.5, name
                assert contrast(colour, palette["--raised"]) >= 4.5, name
