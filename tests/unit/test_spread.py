"""Work that is shared out among processes comes back whole and in order."""

from __future__ import annotations

import numpy as np
import pytest
from test_trainer import examples_of

from antivenom.models import spread as module
from antivenom.models.local import LocalModel, load_causal_lm
from antivenom.models.spread import SpreadModel, share_of, spread


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


@pytest.mark.parametrize("count", [0, 1, 9])
def test_shared_scores_are_those_of_one_process(model_folder, monkeypatch, count):
    model = LocalModel(load_causal_lm(model_folder))
    prompts, choices = [prompt for prompt, _ in examples_of(count)], [(5,), (6, 7)]
    assert spread(model) is model
    monkeypatch.setattr(module, "process_count", lambda: 3)

    def everybody(ask):
        """What the three processes hand in, one after the other."""
        handed = []
        monkeypatch.setattr(module, "gathered", lambda mine: handed.append(mine) or [mine])
        for rank in range(3):
            monkeypatch.setattr(module, "process_rank", lambda rank=rank: rank)
            ask()
        monkeypatch.setattr(module, "gathered", lambda _: handed)
        return ask()

    shared = SpreadModel(model)
    found, alone = everybody(lambda: shared.score(prompts, choices)), model.score(prompts, choices)
    np.testing.assert_allclose(found.log_probabilities, alone.log_probabilities, atol=1e-5)
    assert found.other.tolist() == alone.other.tolist()
    np.testing.assert_allclose(everybody(lambda: shared.states(prompts)), model.states(prompts), atol=1e-5)
