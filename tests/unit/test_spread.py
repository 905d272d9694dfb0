"""Work that is shared out among processes comes back whole and in order."""

from __future__ import annotations

import numpy as np
import pytest

from antivenom.guards.labels import ChoiceScores
from antivenom.inference import spread as module
from antivenom.inference.spread import SpreadFitted, share_of, spread
from antivenom.testing import synthetic_rows


@pytest.mark.parametrize("count", [0, 1, 2, 7, 100])
@pytest.mark.parametrize("processes", [1, 2, 3, 8])
def test_shares_cover_every_row_once_and_are_about_equal(monkeypatch, count, processes):
    monkeypatch.setattr(module, "process_count", lambda: processes)
    shares = []
    for rank in range(processes):
        monkeypatch.setattr(module, "process_rank", lambda rank=rank: rank)
        shares.append(share_of(count))
    assert [i for share in shares for i in share] == list(range(count))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


class Fitted:
    """Says something else of every text; notes how many it was asked about."""

    guard = "the guard"

    def __init__(self):
        self.most = 0

    def answer_states(self, texts, *, progress=None):
        self.most = max(self.most, len(texts))
        return np.array([[len(text), hash(text) % 97] for text in texts], dtype=np.float32).reshape(-1, 2)

    def score(self, asked, *, progress=None):
        return ChoiceScores(self.answer_states(asked), np.array([len(text) % 2 == 0 for text in asked], dtype=bool))

    def likelihood(self, texts, *, window=0, progress=None):
        return self.answer_states(texts)[:, 0]

    def losses(self, rows, *, progress=None):
        return self.likelihood(rows.column("text").to_pylist())

    def write(self, asked, *, longest, progress=None):
        return [text[:longest] for text in asked]


@pytest.mark.parametrize("count", [0, 1, 10])
def test_shared_answers_are_those_of_one_process(monkeypatch, count):
    rows = synthetic_rows(20).slice(0, count)
    texts = rows.column("text").to_pylist()
    alone = Fitted()
    assert spread(alone) is alone
    monkeypatch.setattr(module, "process_count", lambda: 3)
    inner = Fitted()
    shared = SpreadFitted(inner)
    assert shared.guard == "the guard"

    def everybody(ask):
        """What the three processes hand in, one after the other, then what one of them gets."""
        handed = []
        monkeypatch.setattr(module, "gathered", lambda mine: handed.append(mine) or [mine])
        for rank in range(3):
            monkeypatch.setattr(module, "process_rank", lambda rank=rank: rank)
            ask()
        monkeypatch.setattr(module, "gathered", lambda _: handed)
        return ask()

    for name in ("answer_states", "likelihood"):
        ask, expected = getattr(shared, name), getattr(alone, name)(texts)
        np.testing.assert_array_equal(everybody(lambda ask=ask: ask(texts)), expected)
    np.testing.assert_array_equal(everybody(lambda: shared.losses(rows)), alone.losses(rows))
    assert everybody(lambda: shared.write(texts, longest=5)) == alone.write(texts, longest=5)
    found, expected = everybody(lambda: shared.score(texts)), alone.score(texts)
    np.testing.assert_array_equal(found.log_probabilities, expected.log_probabilities)
    assert found.other.tolist() == expected.other.tolist()
    assert inner.most <= -(-count // 3), "each did its share"
