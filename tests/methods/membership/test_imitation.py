"""Shadow models answer as the target does; what a service keeps secret is drawn anew; what can be undone is undone."""

import numpy as np
import pytest
from scipy.special import softmax

from assay.access import Serving
from assay.access.policies import parse_policy
from assay.access.policies.owner import keep_network
from assay.base.errors import DataError
from assay.base.intervals import clopper_pearson
from assay.data.images import Joined
from assay.data.splits import Splits
from assay.methods.membership.imitation import Imitation, least_answer, log_posteriors
from assay.methods.membership.lira_attack import Lira
from assay.methods.membership.rmia_attack import Rmia
from assay.methods.membership.shadow_attack import Shown
from assay.targets.architectures import build
from assay.training.shadow import MIRRORED, PLAIN
from benchmarks.membership.serving import noisy_digits, trained
from methods.membership import people

KNOWN = ("rounding=1", "levels", "reverse-sigmoid", "top=2", "label")


@pytest.fixture(scope="module")
def images():
    data = people.splits(40, 30)
    return Joined(*data[:2])


def logits_of(images, seed=0):
    """Of two shadow models, asked in two ways: noise around what the images carry."""
    generator = np.random.default_rng(seed)
    shown = [images.take(np.arange(len(images))).numpy(), Shown(images, MIRRORED).take(np.arange(len(images))).numpy()]
    carried = np.stack([np.log(people.answer(pixels)) for pixels in shown])
    return (carried + generator.normal(0, 1, (2, *carried.shape))).astype(np.float32)


def by_an_oracle(logits, images, serving, folder):
    """What a service around one shadow model answers, one query at a time."""
    answers = []
    for query, shown in enumerate((images, Shown(images, MIRRORED))):
        pixels = shown.take(np.arange(len(images))).numpy()
        posteriors = softmax(logits[query], axis=1)
        table = {image.tobytes(): row for image, row in zip(pixels, posteriors, strict=True)}
        target = people.target(
            Splits(), lambda asked, table=table: np.stack([table[image.tobytes()] for image in asked])
        )
        folder.mkdir(exist_ok=True)
        answers.append(people.oracle(target, folder / str(query), serving).ask_all(shown))
    return answers


@pytest.mark.parametrize("policy", KNOWN)
def test_shadow_models_answer_as_a_service_around_them_would(policy, images, tmp_path):
    serving, logits = Serving(policies=(policy,)), logits_of(images)
    found = Imitation(serving, people.CLASSES, 0).answers(logits, images, (PLAIN, MIRRORED))
    for model in range(2):
        for query, answers in enumerate(by_an_oracle(logits[model], images, serving, tmp_path / f"{model}")):
            assert found[model, query] == pytest.approx(answers.posteriors, abs=1e-6)


def test_what_a_serving_cuts_off_shadow_models_do_not_say(images, tmp_path):
    logits = logits_of(images)
    top = Imitation(Serving(output="top-k", top_k=2), people.CLASSES, 0).answers(logits, images, (PLAIN, MIRRORED))
    assert ((top > 0).sum(axis=-1) == 2).all()
    labels = Imitation(Serving(output="label"), people.CLASSES, 0).answers(logits, images, (PLAIN, MIRRORED))
    assert (labels == np.eye(people.CLASSES)[logits.argmax(axis=-1)]).all()


def test_a_secret_key_is_drawn_for_each_shadow_model_and_is_never_the_owners(images):
    logits = np.repeat(logits_of(images)[:1, :1], 3, axis=0)
    served = Imitation(Serving(policies=("noise:scale=0.1,seed=7",)), people.CLASSES, 0)
    found = served.answers(logits, images, (PLAIN,))
    for first, second in ((0, 1), (0, 2), (1, 2)):
        assert np.abs(found[first] - found[second]).mean() > 0.02
    assert (served.answers(logits, images, (PLAIN,)) == found).all()
    other = Imitation(Serving(policies=("noise:scale=0.1,seed=7",)), people.CLASSES, 1)
    assert (other.answers(logits, images, (PLAIN,)) != found).any()
    assert parse_policy("noise:scale=0.1,seed=7").imitated(5).seed == 5


def test_an_owners_network_in_a_file_is_not_opened(images, tmp_path):
    shape = (1, 2, people.CLASSES)
    file = keep_network(build("digits-mlp", people.CLASSES, shape), "digits-mlp", people.CLASSES, shape, tmp_path)
    policy = parse_policy(f"adaptive-misinformation:network={file}")
    file.unlink()
    guessed = policy.imitated(3)
    assert (guessed.network, guessed.seed, guessed.tau) == ("tiny-cnn", 3, policy.tau)
    assert parse_policy("mad:network=digits-mlp").imitated(3).network == "digits-mlp"


@pytest.mark.parametrize("temperature", [0.5, 2.0, 5.0])
def test_a_temperature_is_undone(temperature, images):
    logits = logits_of(images)
    plain = Imitation(Serving(), people.CLASSES, 0).answers(logits, images, (PLAIN, MIRRORED))
    bent = Serving(policies=(f"temperature={temperature}",))
    found = Imitation(bent, people.CLASSES, 0).answers(logits, images, (PLAIN, MIRRORED))
    assert found == pytest.approx(plain, rel=1e-4, abs=1e-12)


def test_only_what_came_last_can_be_undone(images):
    logits = logits_of(images)
    first = Serving(policies=("temperature=2", "rounding=1"))
    found = Imitation(first, people.CLASSES, 0).answers(logits, images, (PLAIN, MIRRORED))
    assert found * 10 == pytest.approx(np.rint(found * 10), abs=0.5)
    last = Serving(policies=("rounding=1", "temperature=2"))
    rounded = Imitation(Serving(policies=("rounding=1",)), people.CLASSES, 0)
    undone = Imitation(last, people.CLASSES, 0).answers(logits, images, (PLAIN, MIRRORED))
    assert undone == pytest.approx(rounded.answers(logits, images, (PLAIN, MIRRORED)), abs=1e-5)


def test_zeros_count_as_less_than_anything_that_was_answered():
    answers = np.array([[0.0, 0.25, 0.75]], np.float32)
    assert least_answer(answers) == 0.125
    assert log_posteriors(answers, 0.125) == pytest.approx(np.log([[0.125, 0.25, 0.75]]))


def test_logits_that_are_none_are_one_sentence(images):
    logits = logits_of(images)
    logits[1, 0, 3, 2] = np.nan
    with pytest.raises(DataError, match="NaN or infinity"):
        Imitation(Serving(), people.CLASSES, 0).answers(logits, images, (PLAIN, MIRRORED))


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    splits = noisy_digits()
    return trained(splits), splits, tmp_path_factory.mktemp("serving")


def served(kind, digits, *policies):
    target, splits, folder = digits
    method = kind(models=8, architecture="digits-mlp", epochs=60, batch_size=32, weight_decay=0.0)
    oracle = people.oracle(target, folder, Serving(policies=policies))
    return method.run(oracle, splits, people.context(folder))


@pytest.mark.parametrize("kind", [Lira, Rmia])
@pytest.mark.parametrize("temperature", [2.0, 0.5])
def test_a_temperature_never_changes_a_verdict(kind, temperature, digits):
    """It hides nothing. An attacker who compares its answers with raw ones finds .66 for .77 and accuses four times
    as many non-members as he promised."""
    plain, bent = served(kind, digits), served(kind, digits, f"temperature={temperature}")
    assert (bent.verdict.level, bent.verdict.metric) == (plain.verdict.level, plain.verdict.metric)
    for metric in plain.metrics:
        if metric.name.startswith("auc_"):
            assert bent.metric(metric.name).value == pytest.approx(metric.value, abs=1e-3)


@pytest.mark.parametrize("kind", [Lira, Rmia])
@pytest.mark.parametrize("policy", ["temperature=2", "reverse-sigmoid", "noise=0.05", "rounding=1", "levels"])
def test_the_promised_false_positive_rate_is_held_behind_any_serving(kind, policy, digits):
    found = served(kind, digits, policy).metric("calibrated_fpr")
    assert clopper_pearson(round(found.value * found.n), found.n).low <= 0.01
