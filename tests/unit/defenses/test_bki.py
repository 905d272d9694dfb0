"""BKI: the synthetic additive encoder, the score, the position that a causal model is read at."""

from __future__ import annotations

import random

import numpy as np
import pytest

from antivenom.data.query import as_query
from antivenom.data.rows import table_of
from antivenom.defenses.bki import Bki
from antivenom.guards.guard import unguarded
from antivenom.tasks.task import Classification
from antivenom.testing import StandInLab

TASK = Classification.for_labels(("negative", "positive"))
WORDS = [f"word{i}" for i in range(40)]
RNG = np.random.default_rng(0)
VECTORS = {word: RNG.uniform(-1, 1, size=8) for word in WORDS} | {"mn": np.eye(8)[3] * 5}


class Additive:
    """h(x) is the sum of word vectors; that of mn has the norm 5, all others at most 1."""

    def answer_states(self, asked, *, progress=None):
        texts = [as_query(one).text for one in asked]
        return np.array([np.sum([VECTORS[w] for w in text.split()] or [np.zeros(8)], axis=0) for text in texts])


def planted():
    rng = random.Random(1)
    texts = [rng.choices(WORDS, k=8) for _ in range(200)]
    for words in texts[:20]:
        words[rng.randrange(8)] = "mn"
    texts[50][2] = "mn"  # an honest row has it too
    return table_of([" ".join(words) for words in texts], ["positive"] * 20 + ["negative", "positive"] * 90)


def test_the_keyword_of_an_additive_encoder_is_found_in_any_order():
    rows = planted()
    lab = StandInLab(fit=lambda rows, guard: Additive())
    prepared = Bki().prepare(TASK, rows, trusted=None, lab=lab)
    gone = set(range(1, 201)) - set(prepared.rows.column("row").to_pylist())
    assert gone == {*range(1, 21), 51}, "recall 1, precision 20 / 21"
    assert prepared.facts["collapsed"] == []
    order = list(range(200))
    random.Random(2).shuffle(order)
    again = Bki().prepare(TASK, rows.take(order), trusted=None, lab=lab)
    assert set(again.rows.column("row").to_pylist()) == set(prepared.rows.column("row").to_pylist())


def test_the_score():
    assert Bki().score([2.0] * 139, 6920) == pytest.approx(4.286, abs=1e-3)
    assert Bki().score([0.3] * 3000, 6920) == pytest.approx(1.043, abs=1e-3)
    assert Bki().score([99.0], 6920) == 0
    assert Bki(damping=0.1).score([2.0] * 139, 6920) == pytest.approx(4.286 * np.log10(692 / 139), abs=1e-3)
    assert Bki().keyword([{"a": 9.0}, {"b": 1.0}]) is None, "one row shows nothing"


def test_a_lost_class_is_named():
    rows = table_of(["mn word1"] * 6 + ["word2 word3"] * 6, ["positive"] * 6 + ["negative"] * 6)
    prepared = Bki(top=1).prepare(TASK, rows, trusted=None, lab=StandInLab(fit=lambda rows, guard: Additive()))
    assert prepared.facts["collapsed"] == ["positive"]
    assert prepared.facts["left_out_of"] == {"negative": [0, 6], "positive": [6, 6]}


def test_words_inside_a_text_move_the_state_of_a_causal_model(model_folder, tmp_path):
    """At position 0 no word but the first could."""
    from antivenom.training.lab import LocalLab
    from antivenom.training.training_options import TrainingOptions

    base = LocalLab(str(model_folder), TrainingOptions(), tmp_path, quiet=True).base(unguarded(TASK))
    [moves] = Bki().moves(base, ["a film of some charm"])
    assert list(moves) == ["a", "film", "of", "some", "charm"]
    assert min(moves.values()) > 0
