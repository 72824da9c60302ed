import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.special import softmax

from assay.access import Oracle, PosteriorStore, Serving, WhiteBox
from assay.access.oracle import CHUNK
from assay.base.errors import AccessError, BudgetError, DataError, TransientError
from assay.data.images import ArrayImages
from assay.targets.target import Target

SHAPE = (1, 4, 4)


class Counted:
    """A linear classifier that counts the images it sees."""

    def __init__(self, classes=5):
        self.weights = np.random.default_rng(0).normal(0, 3, (16, classes)).astype(np.float32)
        self.seen = 0
        self.classes = classes

    def logits(self, images):
        return images.numpy().reshape(len(images), -1) @ self.weights

    def __call__(self, images):
        self.seen += len(images)
        return softmax(images.reshape(len(images), -1) @ self.weights, axis=1)


@pytest.fixture
def service():
    return Counted()


def target_of(service):
    return Target.from_function(service, digest="1", input_shape=SHAPE, num_classes=service.classes)


def oracle_of(service, folder, budget=None, **serving):
    store = PosteriorStore(folder / "a.bin", service.classes)
    return Oracle(target_of(service), Serving(**serving), store, budget)


def pictures(count, seed=0):
    return torch.rand(count, *SHAPE, generator=torch.Generator().manual_seed(seed))


def test_posteriors_are_the_networks(service, tmp_path):
    images = pictures(CHUNK + 3)
    answers = oracle_of(service, tmp_path).ask(images)
    expected = softmax(service.logits(images), axis=1)
    assert np.allclose(answers.require_posteriors(), expected, atol=1e-6)
    assert np.array_equal(answers.labels, expected.argmax(axis=1))


def test_label_mode_answers_each_row_with_its_own_label_and_no_more(service, tmp_path):
    images = pictures(40)
    answers = oracle_of(service, tmp_path, output="label").ask(images)
    expected = service.logits(images).argmax(axis=1)
    assert len(set(expected.tolist())) > 1
    assert np.array_equal(answers.labels, expected)
    assert answers.posteriors is None
    with pytest.raises(AccessError, match="labels only"):
        answers.require_posteriors()


def test_the_label_policy_row_by_row(service, tmp_path):
    images = pictures(40)
    oracle = oracle_of(service, tmp_path, policies=("label",))
    batch = oracle.ask(images).require_posteriors()
    expected = service.logits(images).argmax(axis=1)
    for i in range(40):
        assert np.flatnonzero(batch[i]).tolist() == [expected[i]]
        assert np.array_equal(oracle.ask(images[i : i + 1]).require_posteriors()[0], batch[i])


def test_top_k_mode_keeps_k(service, tmp_path):
    posteriors = oracle_of(service, tmp_path, output="top-k", top_k=2).ask(pictures(20)).require_posteriors()
    assert ((posteriors > 0).sum(axis=1) == 2).all()
    assert np.allclose(posteriors.sum(axis=1), 1, atol=1e-5)


def test_policies_apply_in_order_before_the_output_mode(service, tmp_path):
    def answered(*policies: str) -> NDArray[np.float32]:
        return oracle_of(service, tmp_path, policies=policies).ask(pictures(9)).require_posteriors()

    def softened(posteriors: NDArray[np.float32]) -> NDArray[np.float64]:
        roots = posteriors.astype(float) ** (1 / 4)
        return roots / roots.sum(1, keepdims=True)

    def rounded(posteriors: NDArray[np.float64]) -> NDArray[np.float64]:
        tenths = posteriors.round(1)
        return tenths / tenths.sum(1, keepdims=True)

    plain = answered()
    np.testing.assert_allclose(answered("temperature=4", "rounding=1"), rounded(softened(plain)), atol=1e-6)
    np.testing.assert_allclose(answered("rounding=1", "temperature=4"), softened(rounded(plain)), atol=1e-6)


@settings(max_examples=40, deadline=None)
@given(budget=st.integers(1, 12), asks=st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=6), max_size=8))
def test_the_budget_is_exact_and_checked_before_asking(budget, asks, tmp_path_factory):
    service = Counted()
    oracle = oracle_of(service, tmp_path_factory.mktemp("s"), budget, price_per_1000=2.0)
    pool, known, duplicates, calls = pictures(10), set(), 0, 0
    for rows in asks:
        before = service.seen
        if len(known | set(rows)) > budget:
            with pytest.raises(BudgetError, match=f"budget is {budget} images, {len(known)} are spent"):
                oracle.ask(pool[rows])
            assert service.seen == before
            continue
        oracle.ask(pool[rows])
        duplicates += len(rows) - len(set(rows) - known)
        known |= set(rows)
        calls += 1
    spent = oracle.ledger.total()
    assert (spent.images, spent.duplicates, spent.calls) == (len(known), duplicates, calls)
    assert spent.forwards == service.seen == len(known)
    assert spent.price == pytest.approx(len(known) * 0.002)
    assert oracle.remaining == budget - len(known)


def test_the_tighter_budget_holds(service, tmp_path):
    assert oracle_of(service, tmp_path, budget=7).remaining == 7
    store = PosteriorStore(tmp_path / "b.bin", service.classes)
    assert Oracle(target_of(service), Serving(budget=5), store, 7).remaining == 5
    assert Oracle(target_of(service), Serving(budget=9), store, 7).remaining == 7
    assert Oracle(target_of(service), Serving(), store).remaining is None


def test_a_whole_set_over_budget_is_refused_before_the_first_image(service, tmp_path):
    many = ArrayImages(pictures(5 * CHUNK).numpy(), np.zeros(5 * CHUNK, int), "many")
    oracle = oracle_of(service, tmp_path, 5 * CHUNK - 1)
    with pytest.raises(BudgetError):
        oracle.ask_all(many)
    assert service.seen == oracle.ledger.images == 0
    few = ArrayImages(pictures(CHUNK).repeat(5, 1, 1, 1).numpy(), np.zeros(5 * CHUNK, int), "few")
    assert len(oracle.ask_all(few).labels) == 5 * CHUNK
    assert oracle.ledger.images == CHUNK


def test_two_oracles_share_answers_but_not_bills(service, tmp_path):
    first, second = oracle_of(service, tmp_path), oracle_of(service, tmp_path, output="label")
    first.ask(pictures(30))
    second.ask(pictures(40))
    assert service.seen == 40
    assert (first.ledger.images, first.ledger.forwards) == (30, 30)
    assert (second.ledger.images, second.ledger.forwards) == (40, 10)


def test_the_evaluator_is_not_charged_and_sees_the_truth(service, tmp_path):
    oracle = oracle_of(service, tmp_path, 10, output="label", policies=("noise=5",), price_per_1000=1.0)
    oracle.ask(pictures(10))
    evaluator = oracle.evaluator()
    images = pictures(50, seed=1)
    posteriors = evaluator.ask(images).require_posteriors()
    assert np.allclose(posteriors, softmax(service.logits(images), axis=1), atol=1e-6)
    assert evaluator.remaining is None
    assert (oracle.ledger.images, oracle.ledger.forwards) == (10, 60)
    assert oracle.remaining == 0
    assert (evaluator.ledger.images, evaluator.ledger.total().price, evaluator.ledger.forwards) == (50, 0.0, 0)
    with pytest.raises(BudgetError):
        oracle.ask(images[:1])


def test_nothing_asked_is_nothing_charged(service, tmp_path):
    answers = oracle_of(service, tmp_path, 1, policies=("noise", "rounding")).ask(pictures(0))
    assert answers.labels.shape == (0,)
    assert answers.require_posteriors().shape == (0, 5)


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (torch.zeros(2, 3, 4, 4), "takes images of 1x4x4.*3x4x4"),
        (torch.zeros(2, 1, 5, 4), "1x5x4"),
        (torch.zeros(1, 4, 4), "4x4"),
        (torch.full((1, *SHAPE), 1.5), r"lie in \[0, 1\]"),
        (torch.full((1, *SHAPE), float("nan")), r"lie in \[0, 1\]"),
        (torch.zeros(1, *SHAPE, dtype=torch.int64), "uint8 or floats"),
    ],
)
def test_images_that_do_not_fit_are_refused_unasked(service, tmp_path, images, words):
    oracle = oracle_of(service, tmp_path)
    with pytest.raises(DataError, match=words):
        oracle.ask(images)
    assert service.seen == oracle.ledger.images == 0


def test_bytes_and_floats_are_one_image(service, tmp_path):
    oracle = oracle_of(service, tmp_path)
    grey = torch.randint(0, 256, (3, *SHAPE), dtype=torch.uint8)
    oracle.ask(grey)
    oracle.ask(grey.float() / 255)
    assert (oracle.ledger.images, oracle.ledger.duplicates, service.seen) == (3, 3, 3)


def test_a_target_that_answers_nan_is_one_sentence_and_keeps_what_came_before(tmp_path):
    class Brittle(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = torch.nn.Linear(16, 3)

        def forward(self, images):
            logits = self.linear(images.flatten(1))
            return torch.where(images.amax(dim=(1, 2, 3))[:, None] == 1.0, torch.nan, logits)

    target = Target.from_module(Brittle(), input_shape=SHAPE, num_classes=3)
    oracle = Oracle(target, Serving(), PosteriorStore(tmp_path / "a.bin", 3))
    images = pictures(CHUNK + 1) * 0.9
    images[-1] = 1.0
    with pytest.raises(DataError, match="NaN or infinity"):
        oracle.ask(images)
    assert len(PosteriorStore(tmp_path / "a.bin", 3)) == CHUNK
    again = oracle.ask(images[:CHUNK])
    assert len(again.labels) == CHUNK
    assert oracle.ledger.images == CHUNK, "what was not answered is not charged"
    assert oracle.ledger.forwards == CHUNK


def test_white_box_counts_and_agrees_with_autograd():
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 8), torch.nn.Tanh(), torch.nn.Linear(8, 3))
    box = WhiteBox(Target.from_module(module, input_shape=SHAPE, num_classes=3))
    images, labels = pictures(6), torch.tensor([0, 1, 2, 0, 1, 2])
    gradient, logits = box.gradient(
        images, lambda logits: torch.nn.functional.cross_entropy(logits, labels, reduction="none")
    )
    assert not images.requires_grad
    assert torch.allclose(logits, box.logits(images), atol=1e-6)
    for i in range(6):
        pixel = images[i : i + 1].clone().requires_grad_(True)
        torch.nn.functional.cross_entropy(module(pixel), labels[i : i + 1]).backward()
        assert torch.allclose(gradient[i], pixel.grad[0], atol=1e-6)
    spent = box.ledger.total()
    assert (spent.gradients, spent.images, spent.forwards, spent.calls) == (6, 6, 6, 2)


def test_white_box_needs_a_network_that_can_be_differentiated(service):
    with pytest.raises(AccessError, match="differentiable network"):
        WhiteBox(target_of(service))

    class Detached(torch.nn.Module):
        def forward(self, images):
            return images.flatten(1)[:, :3].detach()

    box = WhiteBox(Target.from_module(Detached(), input_shape=SHAPE, num_classes=3))
    with pytest.raises(AccessError, match="cannot be differentiated"):
        box.gradient(pictures(2), lambda logits: logits[:, 0])


class Moody:
    """Answers one image's brightness as posteriors, and fails when told to."""

    def __init__(self, errors):
        self.errors = list(errors)
        self.seen = []

    def __call__(self, images):
        if self.errors and (error := self.errors.pop(0)) is not None:
            raise error
        self.seen += [float(image.sum()) for image in images]
        bright = images.mean(axis=(1, 2, 3))
        return np.stack([bright, 1 - bright], axis=1)


def moody_oracle(folder, errors, budget=None):
    service = Moody(errors)
    target = Target.from_function(service, digest="moody", input_shape=(1, 2, 2), num_classes=2)
    return service, Oracle(target, Serving(), PosteriorStore(folder / "moody.logits", 2), budget)


def test_a_passing_failure_is_retried_with_growing_pauses_and_charged_once(tmp_path, monkeypatch):
    pauses = []
    monkeypatch.setattr("assay.access.retrying.time.sleep", pauses.append)
    errors = [ConnectionError("reset"), TimeoutError("late"), TransientError("too many requests", after=7.0)]
    service, oracle = moody_oracle(tmp_path, [None, *errors], budget=600)
    images = torch.rand(600, 1, 2, 2)
    answers = oracle.ask(images)
    assert answers.labels.shape == (600,)
    assert pauses == [0.5, 1.0, 7.0]
    assert (oracle.ledger.images, oracle.ledger.duplicates, oracle.remaining) == (600, 0, 0)
    assert len(service.seen) == len(set(service.seen)) == oracle.ledger.forwards == 600


def test_a_target_that_keeps_failing_is_one_sentence_and_what_it_answered_is_kept(tmp_path, monkeypatch):
    monkeypatch.setattr("assay.access.retrying.time.sleep", lambda seconds: None)
    service, oracle = moody_oracle(tmp_path, [None, *[ConnectionError("reset")] * 6])
    images = torch.rand(300, 1, 2, 2)
    with pytest.raises(AccessError, match=r"failed 6 times in a row \(reset\); what it answered before is kept"):
        oracle.ask(images)
    assert (oracle.ledger.images, len(service.seen)) == (256, 256)
    oracle.ask(images)
    assert (oracle.ledger.images, oracle.ledger.duplicates) == (300, 256)
    assert len(service.seen) == len(set(service.seen)) == 300


def test_answers_that_are_no_posteriors_are_refused_at_once_and_cost_nothing(tmp_path):
    target = Target.from_function(
        lambda images: np.full((len(images), 2), 0.9), digest="wrong", input_shape=(1, 2, 2), num_classes=2
    )
    oracle = Oracle(target, Serving(), PosteriorStore(tmp_path / "wrong.logits", 2))
    with pytest.raises(DataError, match=r"must be non-negative and sum to 1; row 0 sums to 1\.8"):
        oracle.ask(torch.rand(3, 1, 2, 2))
    assert oracle.ledger.images == 0
