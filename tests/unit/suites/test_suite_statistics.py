"""The intervals and tests that a report speaks by."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from antivenom.evaluation.rates import Rate
from antivenom.suites.statistics import Counted, difference_of_rates, holm, paired, seed_intervals, seen

COUNTS = st.integers(1, 500).flatmap(lambda total: st.tuples(st.integers(0, total), st.just(total)))


@given(COUNTS)
def test_the_interval_is_wilsons(count: tuple[int, int]):
    rate = Rate.count(*count)
    assert Counted(*count).interval() == pytest.approx((rate.low, rate.high), abs=1e-6)


@given(COUNTS, COUNTS)
def test_a_difference_lies_in_its_interval_and_turns_round(one: tuple[int, int], two: tuple[int, int]):
    there, back = (difference_of_rates(Counted(*a), Counted(*b)) for a, b in ((one, two), (two, one)))
    assert there.low <= there.value + 1e-12
    assert there.value <= there.high + 1e-12
    assert (back.low, back.high) == pytest.approx((-there.high, -there.low))


def test_newcombes_example():
    found = difference_of_rates(Counted(48, 80), Counted(56, 70))
    assert (found.low, found.high) == pytest.approx((0.0524, 0.3339), abs=1e-4)
    assert found.verdict(lower_is_better=True) == "worse"
    assert found.verdict(lower_is_better=False) == "better"


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_keeps_the_order_and_never_lowers(values: list[float]):
    adjusted = holm(values)
    assert all(after >= before for after, before in zip(adjusted, values, strict=True))
    assert np.argsort(values, kind="stable").tolist() == sorted(
        range(len(values)), key=lambda i: (adjusted[i], values[i], i)
    )
    assert min(adjusted) == pytest.approx(min(1.0, len(values) * min(values)))


def test_a_paired_interval_holds_the_difference_and_says_what_it_could_have_seen():
    found = paired(12, 4, 200)
    assert found.low < found.difference < found.high
    assert found.p_value == pytest.approx(0.0768, abs=1e-4)
    assert 0 < found.detectable < 0.1
    assert seen(16, 800) < seen(16, 200), "more rows show smaller losses"
    assert paired(0, 0, 50).detectable > 0, "rows that never differ do not show that nothing is lost"


def test_seeds_are_a_mean_with_a_t_interval():
    found = seed_intervals([0.01, 0.02, 0.03])
    assert (found.mean, found.sd, found.seeds) == pytest.approx((0.02, 0.01, 3))
    assert found.low == pytest.approx(0.02 - 4.3027 * 0.01 / 3**0.5, abs=1e-5)
    assert seed_intervals([0.5]).low is None


@pytest.mark.slow
def test_the_paired_interval_covers_the_truth():
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(2000):
        table = rng.multinomial(150, [0.8, 0.08, 0.04, 0.08])
        found = paired(int(table[1]), int(table[2]), 150)
        covered += found.low <= -0.04 <= found.high
    assert covered / 2000 > 0.93
