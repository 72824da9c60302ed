"""What would decide an undecided share."""

import re

import numpy as np
import pytest

from assay.base.intervals import clopper_pearson
from assay.methods.measures import more_to_decide, proportion, rounded_up


@pytest.mark.parametrize(("hits", "count", "limit"), [(8, 100, 0.1), (61, 100, 0.6), (585, 1000, 0.6), (0, 20, 0.1)])
def test_so_many_more_samples_do_decide_and_half_as_many_do_not(hits, count, limit):
    share = proportion("share", "Share", np.arange(count) < hits)
    words = more_to_decide(share, limit, "test images")
    more = int(re.fullmatch(r"about ([\d,]+) more test images would decide", words).group(1).replace(",", ""))

    def decides(size):
        bounds = clopper_pearson(round(hits / count * size), size)
        return not bounds.low <= limit <= bounds.high

    assert decides(count + more)
    assert not decides(count + more // 2)


def test_nothing_would_decide_a_share_that_lies_on_the_limit():
    share = proportion("share", "Share", np.arange(100) < 60)
    expected = "no number of test images would decide, if the share stays as it is"
    assert more_to_decide(share, 0.6, "test images") == expected


def test_numbers_of_samples_are_rounded_up():
    assert [rounded_up(count) for count in (0, 1, 99, 100, 101, 1234)] == [1, 1, 99, 100, 110, 1300]
