"""Which rows join, and which of them get another label."""

import re
from dataclasses import dataclass, replace

import numpy as np
import pytest
from screen_rows import LABELS, make_rows

from antivenom.data.rows import with_columns
from antivenom.defenses.p2p import P2P
from antivenom.errors import OptionsError
from antivenom.guards.labels import ChoiceScores
from antivenom.tasks.task import Classification

TASK = Classification.for_labels(LABELS)
COUNT = 800
EVERY = np.arange(COUNT)
IS_YES = np.array(make_rows(COUNT).column("answer").to_pylist()) == "yes"


@dataclass
class Scene:
    """Rows with no word in common but the attacker's, whose rows say "no" and are labelled "yes"."""

    triggered: np.ndarray
    let_in: np.ndarray
    """Those whose label the referee finds possible."""
    hard: np.ndarray
    """Honest rows that it misreads."""
    trigger: str = ""
    style: float = 0
    """How far the attacker's rows lie from others in the hidden states."""
    styled: np.ndarray | None = None
    """Honest rows that lie there too."""
    readable: np.ndarray | None = None
    """Misread rows that say "yes" all the same to a model that was taught others of their kind."""
    most_associated: float = 0.2

    def __post_init__(self):
        texts = [f"own{i} words{i}" + self.trigger * int(self.triggered[i]) for i in range(COUNT)]
        self.rows = with_columns(make_rows(COUNT), text=texts)
        self.refused = (self.triggered & ~self.let_in) | self.hard
        self.in_style = self.triggered if self.styled is None else self.triggered | self.styled
        self.says_yes = IS_YES & ~self.triggered & ~self.hard
        if self.readable is not None:
            self.says_yes |= self.readable

    def decide(self, *, correct_suspects=True):
        """Whether "yes" is said to each row that is trained on, with its text; and what was done."""
        defense = P2P(
            reserve="trusted",
            ratio=0.1,
            others="agree",
            mode="replace",
            most_associated=self.most_associated,
            refusal_limit=3,
            decoys=("strains",),
            correct_suspects=correct_suspects,
        )
        trusted = self.rows.filter(~self.refused & ~self.triggered & (EVERY % 9 == 1))
        first = defense.prepare(TASK, self.rows, trusted=trusted, seed=0)
        prepared = first.reconsider(Reader(first.guard, self))
        yes, place = prepared.guard.answers.encode("yes"), {row: i for i, row in enumerate(ROW_NUMBERS)}
        taught = {place[row["row"]]: (row["answer"] == yes, row["text"]) for row in prepared.rows.to_pylist()}
        return taught, prepared.facts


ROW_NUMBERS = make_rows(COUNT).column("row").to_pylist()


class Reader:
    """A referee that refuses the attacker's rows, but for a few, and hard ones."""

    def __init__(self, guard, scene):
        self.guard = guard
        self.scene = scene
        self.seen = np.random.default_rng(0).normal(size=(COUNT, 16)).astype(np.float32)
        self.seen[:, 0] += scene.style * scene.in_style
        self.seen[:, 1] += 6 * scene.says_yes

    def score(self, asked, *, progress=None):
        choices = self.guard.labels.choices
        scores = np.full((len(asked), len(choices)), -20.0)
        for place, one in enumerate(asked):
            i = int(re.search(r"\d+", one).group())  # words may have been taken out
            read = "yes" if IS_YES[i] and not self.scene.refused[i] else "no"
            scores[place, choices.index(self.guard.labels.encode(read))] = 0
        return ChoiceScores(scores, np.zeros(len(asked), dtype=bool))

    def states(self, texts, *, progress=None):
        return self.seen[[int(re.search(r"\d+", text).group()) for text in texts]]


TRIGGERED = IS_YES & (EVERY % 7 == 0)
STYLE = Scene(TRIGGERED, TRIGGERED & (EVERY % 3 == 0), IS_YES & ~TRIGGERED & (EVERY % 15 == 0), style=8)


def with_string(refused: int, accepted: int, hard: float) -> Scene:
    """Rows with a string: so many refused and let in, where the referee refuses a share of all rows of the class."""
    of_class = np.flatnonzero(IS_YES)
    triggered = np.isin(EVERY, of_class[: refused + accepted])
    let_in = np.isin(EVERY, of_class[refused : refused + accepted])
    errs = np.random.default_rng(0).random(COUNT) < hard
    return Scene(triggered, let_in, IS_YES & ~triggered & errs, trigger=" zorp quix")


def test_refused_rows_that_read_alike_come_back_with_the_label_that_is_read_in_them():
    without, facts = STYLE.decide(correct_suspects=False)
    found = EVERY[STYLE.triggered & STYLE.refused]
    assert facts["corrected"] == 0
    assert all(said == IS_YES[i] for i, (said, _) in without.items())
    assert not np.isin(found, list(without)).any()
    taught, facts = STYLE.decide()
    changed = {i for i, (said, _) in taught.items() if said != IS_YES[i]}
    assert facts["corrected"] == len(changed) == len(taught) - len(without)
    assert taught.keys() - changed == without.keys(), "what was left out comes back, nothing else"
    assert changed <= set(EVERY[STYLE.refused])
    assert np.isin(found, list(changed)).mean() > 0.8
    assert facts["rows"] + facts["left_out"] == COUNT


def test_rows_with_a_string_that_is_no_decoy_are_not_corrected():
    scene = with_string(28, 10, 0.35)
    taught, facts = scene.decide()
    assert not facts["strains"]
    assert not np.isin(EVERY[scene.triggered], list(taught)).any()


@pytest.mark.parametrize(("refused", "accepted", "hard"), [(25, 10, 0.3), (60, 5, 0.1)])
def test_a_string_of_corrected_rows_says_no_more_than_other_words(refused, accepted, hard):
    scene = with_string(refused, accepted, hard)
    taught, facts = scene.decide()
    assert list(facts["strains"]) == ["zorp quix"]
    assert np.isin(EVERY[scene.triggered & scene.refused], list(taught)).mean() > 0.7
    said = np.array([yes for yes, _ in taught.values()])
    has_string = np.array(["zorp quix" in text for _, text in taught.values()])
    assert said[has_string].mean() == pytest.approx(said[~has_string].mean(), rel=0.5)


HARD = IS_YES & ~TRIGGERED & (EVERY % 5 == 0)
STYLED = IS_YES & ~TRIGGERED & ~HARD & (EVERY % 23 == 0)
LET_IN = TRIGGERED & (EVERY % 5 == 0)


def test_refused_rows_come_back_where_what_was_learnt_from_others_reads_their_label():
    readable = HARD & (EVERY % 4 == 1)
    scene = Scene(TRIGGERED, LET_IN, HARD, style=8, readable=readable, most_associated=0)
    taught, facts = scene.decide(correct_suspects=False)
    back = np.isin(EVERY, list(taught))
    assert back[readable].mean() > 0.9
    assert back[HARD & ~readable].mean() < 0.1
    assert not back[scene.triggered & scene.refused].any()
    assert facts["read_again"] == pytest.approx(readable.sum(), rel=0.1)
    assert all(yes == IS_YES[i] for i, (yes, _) in taught.items())


def test_suspect_rows_come_back_only_where_both_models_read_their_label(monkeypatch):
    scene = Scene(TRIGGERED, LET_IN, HARD, style=12, styled=STYLED, most_associated=0)
    taught, facts = scene.decide(correct_suspects=False)
    back = np.isin(EVERY, list(taught))
    assert not back[TRIGGERED].any(), "not even those that the referee let in"
    monkeypatch.setattr("antivenom.defenses.joining.SURE", np.inf)
    before, facts_before = scene.decide(correct_suspects=False)
    came_back = np.isin(EVERY, list(taught.keys() - before.keys()))
    assert came_back.sum() == facts["read_again"] - facts_before["read_again"] > 0
    assert not came_back[~STYLED].any(), "honest rows that read like the attacker's"
    assert facts_before["suspect"] == facts["suspect"] + came_back.sum()


def test_what_a_feature_gives_away_does_not_come_back():
    scene = with_string(60, 5, 0.1)
    scene = replace(scene, readable=scene.triggered, most_associated=0)
    taught, _ = scene.decide(correct_suspects=False)
    assert not np.isin(EVERY[scene.triggered], list(taught)).any(), "whatever the second opinion reads in them"


def test_no_row_is_corrected_that_says_its_label_to_one_of_the_models():
    both = HARD & (EVERY % 4 == 1)
    scene = Scene(TRIGGERED, LET_IN, HARD, style=8, styled=HARD, readable=both, most_associated=0)
    taught, _ = scene.decide()
    corrected = np.isin(EVERY, [i for i, (yes, _) in taught.items() if yes != IS_YES[i]])
    assert not corrected[both].any()
    assert corrected[HARD & ~both].mean() > 0.7
    assert corrected[TRIGGERED & scene.refused].mean() > 0.7


def test_what_goes_together_is_asked_for_together():
    with pytest.raises(OptionsError, match="correct_suspects"):
        P2P(others="agree", refusal_limit=3, correct_suspects=True)
    with pytest.raises(OptionsError, match="correct_suspects"):
        P2P(others="agree", decoys=("strains",), correct_suspects=True)
    with pytest.raises(OptionsError, match="refusal_limit"):
        P2P(refusal_limit=3)
