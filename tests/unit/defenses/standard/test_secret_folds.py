"""Who knows the code, all rows and the options, but not the secret seed, places poison no better than by chance."""

import numpy as np
import pyarrow as pa
import pytest

from antivenom.core.hashing import row_keys
from antivenom.data.rows import table_of
from antivenom.defenses.standard.disagreement import find_suspects, flooded
from antivenom.defenses.standard.refusals import RefusalCounts
from antivenom.defenses.standard.similarity import FOLDS
from antivenom.screening.screen import screen

LABELS = ("no", "yes")
ROWS, POISONED, WIDTH = 1200, 60, 12
GUESSED, SECRETS = 0, range(1, 9)


def folds_of(texts: list[str], seed: int) -> np.ndarray:
    keys = row_keys(pa.array(texts), seed=seed, purpose="similarity")
    return (keys % np.uint64(FOLDS)).astype(np.int64)


def placed_by_an_attacker() -> tuple[pa.Table, np.ndarray]:
    """Poison that would all be in one fold, were the seed the one that the attacker guesses."""
    texts = [f"own{i} words{i}" for i in range(ROWS)]
    candidates = [f"mine{i} made{i}" for i in range(POISONED * FOLDS * 2)]
    chosen = np.flatnonzero(folds_of(candidates, GUESSED) == 0)[:POISONED]
    answers = [LABELS[i % 2] for i in range(ROWS)]
    return table_of([*texts, *(candidates[i] for i in chosen)], [*answers, *["yes"] * POISONED]), np.arange(
        ROWS + POISONED
    ) >= ROWS


def evidence(table: pa.Table, poisoned: np.ndarray, seed: int) -> float:
    """The mean evidence against the poisoned rows that the referee let in, of a model that sees what they share."""
    states = np.random.default_rng(0).normal(size=(len(poisoned), WIDTH)).astype(np.float32)
    states[:, 0] += 4 * poisoned
    let_in = poisoned & (np.arange(len(poisoned)) % 4 == 0)
    refused = poisoned & ~let_in
    counts = RefusalCounts.of(table, screen(table, LABELS, seed=seed), np.ones(len(poisoned), dtype=bool), refused)
    found = find_suspects(counts, states, 3.0, accepted=~refused, seed=seed)
    return float(np.minimum(found.evidence[let_in], 3).mean())


def test_poison_in_one_fold_of_a_guessed_seed_is_spread_over_the_folds_of_the_secret_one():
    table, poisoned = placed_by_an_attacker()
    texts = table.column("text").to_pylist()
    assert set(folds_of(texts, GUESSED)[poisoned]) == {0}
    for seed in SECRETS:
        counts = np.bincount(folds_of(texts, seed)[poisoned], minlength=FOLDS)
        assert counts.max() < POISONED / 2


def test_it_is_found_as_surely_as_poison_that_was_placed_at_random():
    table, poisoned = placed_by_an_attacker()
    blind, seen = evidence(table, poisoned, GUESSED), [evidence(table, poisoned, seed) for seed in SECRETS]
    assert blind < 0.5 < min(seen), "with the seed the folds hide it, without it they do not"


def test_every_draw_depends_on_the_seed():
    texts = [f"own{i} words{i}" for i in range(200)]
    assert (folds_of(texts, 1) != folds_of(texts, 2)).mean() > 0.5


@pytest.mark.parametrize(("lost", "expected"), [(89, []), (90, [1]), (99, [1]), (100, [1])])
def test_a_class_that_loses_nearly_all_of_its_reserve_is_flooded(lost, expected):
    classes = np.repeat([0, 1, 2], [100, 150, 30])
    in_reserve = np.isin(np.arange(280), [*range(100), *range(100, 200)])
    suspect = np.isin(np.arange(280), [*range(10), *range(100, 100 + lost), *range(200, 280)])
    assert flooded(suspect, classes, in_reserve).tolist() == expected
