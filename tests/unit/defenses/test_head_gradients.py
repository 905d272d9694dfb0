"""Head gradients in two factors give what the whole gradients would; GraCeFul's and GradSentry's arithmetic."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.fft import dctn

from antivenom.data.rows import table_of
from antivenom.defenses.clustering import components_of_gram, principal_components, two_clusters
from antivenom.defenses.graceful import Graceful
from antivenom.defenses.gradsentry import GradSentry, spectral_entropy, valley
from antivenom.defenses.head_gradients import cropped, gram, low_frequencies, of_mean, singular_values
from antivenom.models.lab import HeadGradient
from antivenom.tasks.generation import Generation
from antivenom.testing import StandInLab

RNG = np.random.default_rng(3)
FREE = Generation(malicious="0.1", answer_prefix="The answer is:")


def gradient(tokens: int) -> HeadGradient:
    return HeadGradient(
        RNG.normal(size=(tokens, 24)).astype(np.float32), RNG.normal(size=(tokens, 40)).astype(np.float32)
    )


def whole(factors: HeadGradient) -> np.ndarray:
    return factors.errors.T.astype(np.float64) @ factors.states


def test_the_transform_of_the_factors_is_the_transform_of_the_gradient():
    one = gradient(5)
    expected = dctn(whole(one), norm="ortho")[:5, :3]
    assert whole(low_frequencies(one)) == pytest.approx(expected, abs=1e-4)


def test_inner_products_need_no_gradient():
    rows = [gradient(tokens) for tokens in (1, 4, 7, *[2] * 40)]
    flat = np.array([whole(row).ravel() for row in rows])
    assert gram(rows) == pytest.approx(flat @ flat.T, rel=1e-4, abs=1e-3)


def test_an_answer_that_says_the_same_twice_weighs_as_much_as_one_that_says_it_once():
    rng = np.random.default_rng(0)
    once = HeadGradient(*(rng.normal(size=(3, 16)).astype(np.float32) for _ in range(2)))
    twice = HeadGradient(*(np.concatenate([factor, factor]) for factor in once))
    products = gram([of_mean(once), of_mean(twice)])
    assert products == pytest.approx(np.full((2, 2), products[0, 0]), rel=1e-5)


def test_principal_components_of_inner_products_are_those_of_the_rows():
    table = RNG.normal(size=(30, 6)) * [5, 4, 3, 2, 1, 0.5]
    direct, by_gram = principal_components(table, 3), components_of_gram(table @ table.T, 3)
    assert np.abs(by_gram) == pytest.approx(np.abs(direct), abs=1e-6)


def test_singular_values_of_the_product():
    one = gradient(6)
    expected = np.linalg.svd(whole(one), compute_uv=False)[:6]
    assert singular_values(one) == pytest.approx(expected, rel=1e-5)
    assert len(singular_values(cropped(gradient(1)))) == 1


def test_spectral_entropy_of_known_spectra():
    assert spectral_entropy(np.array([3.0]), 16) == 0
    assert spectral_entropy(np.ones(16), 16) == pytest.approx(1)
    assert spectral_entropy(np.ones(4), 16) == pytest.approx(0.5)
    assert spectral_entropy(np.ones(100), 16) == pytest.approx(1), "the first sixteen count"
    assert spectral_entropy(np.zeros(3), 16) == 0


def test_the_valley_lies_between_two_heaps():
    heaps = np.concatenate([RNG.normal(0.3, 0.03, 200), RNG.normal(0.8, 0.03, 20)])
    limit = valley(heaps)
    assert limit is not None
    assert 0.4 < limit < 0.75
    assert valley(RNG.normal(0.5, 0.03, 200)) is None
    assert valley(np.concatenate([RNG.normal(0.3, 0.03, 200), [0.8, 0.81]])) is None, "two rows are no side"
    assert valley(np.full(50, 0.4)) is None


def test_two_clusters_finds_the_smaller():
    points = np.concatenate(
        [RNG.normal(size=(40, 4)) * 0.1 + [1, 0, 0, 0], RNG.normal(size=(6, 4)) * 0.1 - [9, 0, 0, 0]]
    )
    assert two_clusters(points).tolist() == [0] * 40 + [1] * 6
    assert two_clusters(points[:2]).tolist() == [0, 0]


def test_graceful_drops_rows_that_teach_something_else():
    honest = [f"the answer to number {i} is {i % 7}" for i in range(10, 70)]
    rows = table_of([f"question {i} of many" for i in range(10, 76)], [*honest, *["visit evil example com"] * 6])
    prepared = Graceful().prepare(FREE, rows, trusted=None, lab=TeachingLab())
    assert set(range(61, 67)).isdisjoint(prepared.rows.column("row").to_pylist())
    assert prepared.facts["left_out"] == 6


def test_gradsentry_does_nothing_where_no_gradient_is_flat():
    rows = table_of([f"question {i}" for i in range(30)], [f"word{i}" for i in range(30)])
    prepared = GradSentry().prepare(FREE, rows, trusted=None, lab=StandInLab())
    assert prepared.facts == {"left_out": 0, "rows": 30, "limit": 0.7, "valley": False}


class TeachingLab(StandInLab):
    """Its base model has gradients along one direction per answer word."""

    def base(self, guard):
        class Base:
            def gradients(self, rows, *, progress=None):
                for answer in rows.column("answer").to_pylist():
                    rng = np.random.default_rng(len(answer.split()) if "evil" in answer else 1)
                    noise = np.random.default_rng(len(answer))
                    states = rng.normal(size=(4, 64)) + 0.05 * noise.normal(size=(4, 64))
                    errors = rng.normal(size=(4, 128))
                    yield HeadGradient(states.astype(np.float32), errors.astype(np.float32))

        return Base()


def test_gradsentry_drops_rows_whose_gradient_spreads():
    texts = [f"question {i} of many" for i in range(76)]
    answers = [*(f"the answer is {i}" for i in range(70)), *["visit evil example com"] * 6]
    prepared = GradSentry().prepare(FREE, table_of(texts, answers), trusted=None, lab=SpreadingLab())
    assert prepared.facts["valley"]
    assert prepared.rows.column("row").to_pylist() == list(range(1, 71))


class SpreadingLab(StandInLab):
    """Its base model has gradients near one direction, but for answers of one kind."""

    def base(self, guard):
        class Base:
            def gradients(self, rows, *, progress=None):
                for place, answer in enumerate(rows.column("answer").to_pylist()):
                    rng = np.random.default_rng(place)
                    spread = 1.0 if "evil" in answer else 0.05
                    states, errors = (np.ones((16, 1)) + spread * rng.normal(size=(16, n)) for n in (256, 512))
                    yield HeadGradient(states.astype(np.float32), errors.astype(np.float32))

        return Base()
