import pytest

from assay.methods.membership.metrics_attack import MetricAttacks
from assay.targets.reference import load_target
from methods.membership import people


@pytest.mark.data
def test_a_public_cifar10_network_leaks_as_much_as_was_measured_elsewhere(tmp_path):
    """0.538 for 10,000 members and 1,000 non-members; here for 2,000 members, within two standard errors."""
    target = load_target("akamaster/cifar10-resnet20")
    method = MetricAttacks(max_members=2000)
    found = method.run(people.oracle(target, tmp_path), target.splits, people.context(tmp_path))
    assert found.metric("test_accuracy").value == pytest.approx(0.915, abs=0.0005)
    assert found.metric("auc_loss").value == pytest.approx(0.538, abs=0.022)
    assert found.metric("auc_correctness").value == 0.5 + found.metric("overfitting_gap").value / 2
    assert found.metric("tpr_at_fpr_0.0001").value is None
