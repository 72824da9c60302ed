from __future__ import annotations

from pathlib import Path

import pytest

from assay.access.opening import Terms
from assay.base.errors import LoadError, UsageError
from assay.cli import main
from assay.methods.evasion.fgsm import Fgsm
from assay.methods.evasion.transfer import Transfer
from assay.studies.estimate import plan_study
from assay.studies.grid import combinations
from assay.studies.study_file import presets, read_study
from assay.studies.units import by_target, plan_units

GOOD = """
name = "small"
targets = ["starter/digits-*"]
seeds = [0, 1]
workspace = "w"

[[methods]]
name = "evasion.fgsm"
options.max_images = [10, 20]

[[methods]]
name = "membership.metrics"
preset = "quick"

[[servings]]
output = "posteriors"

[[servings]]
policies = ["rounding=2"]
"""


def write(folder: Path, text: str) -> str:
    (folder / "study.toml").write_text(text)
    return str(folder / "study.toml")


def test_a_study_is_every_target_method_serving_and_seed(tmp_path: Path) -> None:
    study = read_study(write(tmp_path, GOOD))
    units = plan_units(study)
    targets = len(by_target(units))
    assert targets > 1
    white_box, black_box = 2, 2  # a white box is not served: two options; one option, served in two ways
    assert len(units) == len({unit.id for unit in units}) == targets * 2 * (white_box + black_box)
    first = by_target(units)[0]
    assert [unit.seed for unit in first] == [0] * 4 + [1] * 4
    assert [unit.method for unit in first[:4]] == ["membership.metrics"] * 2 + ["evasion.fgsm"] * 2
    assert [unit.options["max_images"] for unit in first[2:4]] == [10, 20]
    assert Path(study.workspace) == tmp_path / "w"


def test_units_keep_their_names_when_the_study_grows(tmp_path: Path) -> None:
    before = {unit.id for unit in plan_units(read_study(write(tmp_path, GOOD)))}
    after = {unit.id for unit in plan_units(read_study(write(tmp_path, GOOD.replace("[0, 1]", "[0, 1, 2]"))))}
    assert before < after


WRONG = """
name = "wrong"
seed = [0]
targets = ["starter/nope", {query = 'dataset = "cifar1"'}, {reference = "timm:resnet18"}, {ref = "x"}]
[[methods]]
name = "evasion.fgms"
[[methods]]
name = "evasion.fgsm"
options.max_image = [1, 2]
[[methods]]
name = "stealing.basic"
options.epochs = [0, 3, "x"]
[[servings]]
policies = ["roundin=2"]
output = "all"
[limits]
seconds = -1
[budget]
dolars = 1
[engine]
gpus = 0.5
[costs]
"evasion.x" = { seconds = 1 }
"""


def test_everything_wrong_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as found:
        read_study(write(tmp_path, WRONG))
    text = str(found.value)
    for said in (
        "has 14 errors; nothing was run",
        "targets 1: There is no model 'starter/nope'",
        "targets 2: There is no data set 'cifar1'",
        "targets 3: timm:resnet18: no data set of its own",
        "targets 4: there is no key 'ref' here: did you mean 'reference'?",
        "methods 1: There is no method 'evasion.fgms': did you mean 'evasion.fgsm'",
        "methods 2: evasion.fgsm has no option 'max_image': did you mean 'max_images'?",
        "methods 3: stealing.basic cannot be run with these options: epochs: Input should be greater",
        "epochs: Input should be a valid integer",
        "servings 1 output:",
        "servings 1 policies: There is no policy 'roundin': did you mean 'rounding'?",
        "limits seconds:",
        "budget: there is no key 'dolars' here: did you mean 'dollars'",
        'engine: address, cpus, gpus and sync are for kind = "ray".',
        "costs: There is no method 'evasion.x'",
        "there is no key 'seed' here: did you mean 'seeds'?",
    ):
        assert said in text, (said, text)


@pytest.mark.parametrize(
    ("text", "error", "said"),
    [
        ("name = ", LoadError, "is not TOML"),
        ('name = "x"\ntargets = []\nmethods = ["evasion.fgsm"]', UsageError, "at least 1 item"),
        ('name = "../x"\ntargets = ["starter/*"]\nmethods = ["evasion.fgsm"]', UsageError, "name: String should match"),
        ('name = "x"\ntargets = ["mine.toml"]\nmethods = ["evasion.fgsm"]', UsageError, "mine.toml cannot be read"),
        ('name = "x"\ntargets = ["starters/*"]\nmethods = ["evasion.fgsm"]', UsageError, "No catalogue id matches"),
    ],
)
def test_bad_files_are_one_message(tmp_path: Path, text: str, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        read_study(write(tmp_path, text))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(LoadError, match="cannot be read: No such file"):
        read_study(str(tmp_path / "none.toml"))
    with pytest.raises(UsageError, match="no preset 'mebnch': did you mean 'mebench'"):
        read_study("preset:mebnch")


def test_a_query_selects_what_loads_by_its_id(tmp_path: Path) -> None:
    text = GOOD.replace('["starter/digits-*"]', """[{query = 'dataset = "fashion-mnist"'}]""")
    references = {unit.reference for unit in plan_units(read_study(write(tmp_path, text)))}
    assert "locuslab/fashion-mnist-small" in references


def test_what_a_query_selects_and_no_id_opens_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    query = '[{query = \'id = "akamaster/cifar10-resnet20" or id = "pytorchcv/resnet20_cifar10"\', data = "digits"}]'
    file = write(tmp_path, GOOD.replace('["starter/digits-*"]', query))
    (choice,) = read_study(file).targets
    assert choice.references() == ["akamaster/cifar10-resnet20"]
    assert choice.left_out() == ["pytorchcv/resnet20_cifar10"]
    assert main(["study", "plan", file, "--workspace", str(tmp_path / "w")]) == 0
    assert "Left out, for they do not load by their id: 1 of the models" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("name", presets())
def test_presets_are_valid(name: str) -> None:
    study = read_study(f"preset:{name}")
    assert study.name == name
    assert plan_units(study)


@pytest.mark.parametrize("name", presets())
def test_the_plan_of_a_preset_is_not_empty(name: str, tmp_path: Path) -> None:
    plan = plan_study(read_study(f"preset:{name}"), tmp_path)
    assert plan.total.seconds > 60
    assert plan.total.images > 0
    assert all(row.unknown == 0 and row.estimate.seconds > 0 for row in plan.rows)


def test_mebench_is_the_grid_of_the_paper() -> None:
    units = plan_units(read_study("preset:mebench"))
    options = [unit.options for unit in units]
    assert {o["strategy"] for o in options} == {"random", "entropy", "k-center", "adversarial"}
    assert {o["optimiser"] for o in options} == {"lion", "adam", "adamw", "sgd"}
    assert {o["initialisation"] for o in options} == {"random", "pretrained"}
    assert all(o["checkpoints"] == [1024, 2048, 2368, 4096, 8192] for o in options)
    assert all(o["adversarial_images"] > 0 and o["budget"] is None and o["up_to"] == 8192 for o in options)


def test_a_grid_takes_lists_as_choices_unless_the_option_is_a_list() -> None:
    assert combinations(Fgsm, {"epsilons": [0.1, 0.2], "max_images": [1, 2]}) == [
        {"epsilons": [0.1, 0.2], "max_images": 1},
        {"epsilons": [0.1, 0.2], "max_images": 2},
    ]
    assert [c["epsilons"] for c in combinations(Fgsm, {"epsilons": [[0.1], [0.2]]})] == [[0.1], [0.2]]
    nested = combinations(Transfer, {"surrogate": {"epochs": [1, 2]}})
    assert nested == [{"surrogate": {"epochs": 1}}, {"surrogate": {"epochs": 2}}]
    with pytest.raises(UsageError, match="empty list of choices"):
        combinations(Fgsm, {"max_images": []})
    with pytest.raises(UsageError, match="1,000,000 combinations"):
        combinations(Fgsm, {"max_images": list(range(1000)), "seconds": list(range(1000))})


SERVICE = """
name = "asked"
workspace = "w"
methods = ["stealing.basic"]

[[targets]]
reference = "https://a.example/v2/models/m"
data = "digits"
"""


@pytest.mark.parametrize(
    ("terms", "says"),
    [
        ("", r"targets 1: https://a.example.* is not on this machine.*live = true, budget = N"),
        ("live = true", "is not on this machine"),
        ("budget = 5", "is not on this machine"),
        ("live = true\nbudget = 0", "The budget must be 1 image or more"),
        ("live = true\nbudget = 5\nprice_per_1000 = -1", "The price must be 0 or more"),
        ('live = true\nbudget = 5\n[engine]\nkind = "ray"\nsync = "file:///x"', "is a service.*leave out sync"),
    ],
)
def test_a_service_is_refused_without_its_terms_before_anything_is_asked(
    tmp_path: Path, terms: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("httpx.Client.__init__", lambda *_, **__: pytest.fail("the network was reached for"))
    with pytest.raises(UsageError, match=says):
        read_study(write(tmp_path, f"{SERVICE}{terms}\n"))


def test_terms_are_for_services_and_a_service_brings_no_data(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="are for services, and starter/digits-cnn is none"):
        read_study(
            write(tmp_path, SERVICE.replace("https://a.example/v2/models/m", "starter/digits-cnn") + "live = true")
        )
    with pytest.raises(UsageError, match="no data set of its own is at hand"):
        read_study(write(tmp_path, SERVICE.replace('data = "digits"', "live = true\nbudget = 5")))


def test_the_terms_go_with_the_units_and_change_no_name(tmp_path: Path) -> None:
    units = [plan_units(read_study(write(tmp_path, f"{SERVICE}live = true\nbudget = {n}"))) for n in (5, 7)]
    assert [unit.place.terms for (unit,) in units] == [Terms(live=True, budget=5), Terms(live=True, budget=7)]
    assert units[0][0].id == units[1][0].id
