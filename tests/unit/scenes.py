"""Rows with poison that no word gives away, and a referee that refuses what a test says."""

import re
from dataclasses import dataclass

import numpy as np
from deciding import Deciding
from screen_rows import LABELS, make_rows

from antivenom.data.rows import with_columns
from antivenom.guards.labels import ChoiceScores
from antivenom.tasks.task import Classification

TASK = Classification.for_labels(LABELS)
COUNT = 800
EVERY = np.arange(COUNT)
IS_YES = np.array(make_rows(COUNT).column("answer").to_pylist()) == "yes"


@dataclass
class Scene:
    """Rows with no word in common but the attacker's, whose rows say "no" and are labeled "yes"."""

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
        # Rows of several lengths: were only the attacker's longer, the screen would put it down to their length.
        others = ["".join(f" more{i}of{k}" for k in range(i // 2 % 4)) for i in range(COUNT)]
        texts = [f"own{i} words{i}{others[i]}" + self.trigger * int(self.triggered[i]) for i in range(COUNT)]
        self.rows = with_columns(make_rows(COUNT), text=texts)
        self.refused = (self.triggered & ~self.let_in) | self.hard
        self.in_style = self.triggered if self.styled is None else self.triggered | self.styled
        self.says_yes = IS_YES & ~self.triggered & ~self.hard
        if self.readable is not None:
            self.says_yes |= self.readable

    def decide(self):
        """Which rows are trained on; and what was done."""
        deciding = Deciding(reserve="trusted", ratio=0.1, most_associated=self.most_associated)
        trusted = self.rows.filter(~self.refused & ~self.triggered & (EVERY % 9 == 1))
        found = deciding.of(TASK, self.rows, lambda guard: Reader(guard, self), trusted=trusted)
        return np.isin(ROW_NUMBERS, found.rows.column("row").to_pylist()), found.facts


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
            i = int(re.search(r"\d+", one).group())
            read = "yes" if IS_YES[i] and not self.scene.refused[i] else "no"
            scores[place, choices.index(self.guard.labels.encode(read))] = 0
        return ChoiceScores(scores, np.zeros(len(asked), dtype=bool))

    def states(self, texts, *, progress=None):
        return self.seen[[int(re.search(r"\d+", text).group()) for text in texts]]
