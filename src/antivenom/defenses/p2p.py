"""Poison-to-Poison (Zhao et al., Findings of ACL 2026): the benign trigger and the extended label space."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np
import pyarrow as pa

from antivenom.core.arrays import BoolArray
from antivenom.core.errors import OptionsError, RowsError
from antivenom.core.options import check_choices
from antivenom.core.registry import Presets
from antivenom.core.report import Report
from antivenom.data.digests import digest_of_table
from antivenom.data.sampling import join_trusted, label_codes, random_reserve, require_every_class
from antivenom.data.validation import check_strings
from antivenom.defenses.base import Defense, Prepared, reasons_table, rebuild
from antivenom.guards.answers import extended_answers
from antivenom.guards.guard import AnyTask, Guard, Placement
from antivenom.guards.secret import PAPER_SECRET, Secret, draw_secret
from antivenom.models.lab import Lab, TrainingChanges
from antivenom.screening.screen import least_suspicious, screen
from antivenom.tasks.generation import Generation

PAPER = vars(PAPER_SECRET)


@dataclass(frozen=True, kw_only=True)
class P2P(Defense):
    """Teach the model that under the benign trigger only the extended labels exist, and always show it the trigger.

    D* = D joined with {(benign trigger + x, h(y)) : (x, y) in the reserve S}, h(i) = i + n. At inference every input
    gets the benign trigger and the answer is read from the extended labels alone, mapped back by pi(i + n) = i. For
    free text h(y) = [p; y] with the answer prefix p, and the answer is what stands behind p. As
    far as S holds no poisoned row, no row ever shows the attack trigger together with an extended label, so the
    attacker's lesson (trigger -> t) is not a lesson about the labels that are read.

    Source: Zhao et al., "P2P: A Poison-to-Poison Remedy for Reliable Backdoor Defense in LLMs", section 4 and
    Algorithm 1. Where the paper and its code differ, the option names both.
    """

    name: ClassVar[str] = "p2p"
    presets: ClassVar[Presets] = {
        "paper": {"reserve": "random", "ratio": 0.25, "mode": "union", "cue": "shared", "secret": PAPER},
        "paper_code": {"reserve": "trusted", "ratio": 0.2, "mode": "replace", "cue": "split", "secret": PAPER},
    }
    """In the authors' code the reserve is clean because of how the rows are ordered; here, because you vouch for it.
    Both presets use the printed sentence, which everybody knows: they are for research."""

    secret: Secret | None = field(default=None, repr=False)
    """The benign trigger and the cue; drawn from a family of natural frames, keyed by the run's seed, when not given
    (the paper prints one for all)."""
    placement: Placement = "prefix"
    """Where the benign trigger stands: in front of the text, or as the system prompt."""
    ratio: float = 0.25
    """Reserve ratio: the share of each class that gets the benign trigger (paper: 0.2 to 0.3)."""
    mode: Literal["union", "replace"] = "union"
    """`union` adds the benign copies (the paper's text); `replace` takes their originals out (the authors' code)."""
    others: Literal["keep", "drop"] = "keep"
    """What becomes of the rows outside the reserve: `keep` trains on them as they are, in the ordinary label space (the
    paper); `drop` leaves them out."""
    cue: Literal["shared", "split"] = "shared"
    """`split` also changes the cue under the benign trigger: a second half of the key (in the authors' code only)."""
    reserve: Literal["trusted", "random", "screened"] = "trusted"
    """Where the reserve S comes from: rows that you vouch for (--trusted), a random draw (Algorithm 1 read literally),
    or the least suspicious rows of each class (`screening/screen.py`)."""

    def __post_init__(self) -> None:
        check_choices(self)
        if not 0 < self.ratio <= 1:
            raise OptionsError(f"ratio = {self.ratio}", mend="The reserve ratio is above 0 and at most 1.")
        if self.secret is not None:
            self.secret.require_words()
        if self.cue == "split" and self.secret is not None and not self.secret.cue.strip():
            raise OptionsError("cue = 'split' needs a cue", mend="Give the secret a second line, or choose cue=shared.")

    def guard(self, task: AnyTask, seed: int) -> Guard:
        """The guard of this defense; `seed` draws the secret where none was given."""
        secret = self.secret or draw_secret(seed)
        if self.cue == "shared":
            secret = Secret(secret.trigger)
        return Guard(task=task, answers=extended_answers(task), secret=secret, placement=self.placement)

    def check(self, task: AnyTask, rows: pa.Table, report: Report) -> None:
        """Add to `report` what in the rows stands against this defense."""
        if self.secret is not None:
            check_strings(rows, [self.secret.trigger], "the benign trigger", report)
        if isinstance(task, Generation):
            check_strings(rows, [task.answer_prefix], "the answer prefix", report, column="answer")
        elif all(not word.isdigit() for word in task.extended):
            check_strings(rows, task.extended, "a word of the second label space", report)

    def prepare(self, task: AnyTask, rows: pa.Table, *, trusted: pa.Table | None, lab: Lab) -> Prepared:
        """Rebuild the rows.

        Raises:
            OptionsError: the policy is `trusted` and no trusted rows were given.
            RowsError: a class has no row that the reserve can take.
        """
        pool, vouched = join_trusted(rows, trusted)
        in_reserve = self._choose(task, pool, vouched, lab)
        self._require_every_class(task, pool, in_reserve)
        return self.rebuilt(pool, in_reserve, self.guard(task, lab.seed))

    def rebuilt(self, pool: pa.Table, in_reserve: BoolArray, guard: Guard) -> Prepared:
        """The rows of a pool, those of the reserve under the benign trigger, the others kept or left out.

        Args:
            pool: `row`, `text`, `answer`.
            in_reserve: Which rows are in S; shape (rows,).
            guard: See `guard`.
        """
        facts: dict[str, Any] = {
            "policy": self.reserve,
            "mode": self.mode,
            "ratio": self.ratio,
            "rows": int(in_reserve.sum()),
            "sha256": digest_of_table(pool.filter(pa.array(in_reserve))),
        }
        training = TrainingChanges()
        outside = "outside the reserve"
        reasons = reasons_table(pool, np.where(in_reserve, f"in the reserve ({self.reserve})", outside).tolist())
        if self.others == "drop":
            training = TrainingChanges(instead_of=pool.num_rows)
            facts["left_out"] = int((~in_reserve).sum())
            pool, in_reserve = pool.filter(pa.array(in_reserve)), in_reserve[in_reserve]
        return Prepared(rebuild(pool, in_reserve, self.mode), guard, facts, training, reasons)

    def _choose(self, task: AnyTask, pool: pa.Table, vouched: BoolArray, lab: Lab) -> BoolArray:
        if self.reserve == "random":
            return random_reserve(pool, task.classes, self.ratio, seed=lab.seed)
        if self.reserve == "screened":
            screening = screen(pool, task.classes, lab.word_pieces, seed=lab.seed)
            return vouched | least_suspicious(pool, screening, self.ratio, avoid=0.2, seed=lab.seed)
        return self._draw_trusted(task, pool, vouched, lab.seed)

    def _draw_trusted(self, task: AnyTask, pool: pa.Table, vouched: BoolArray, seed: int) -> BoolArray:
        """Draw at most `ratio` of all rows from those that are vouched for."""
        if not vouched.any():
            raise OptionsError(
                "reserve = 'trusted', but no trusted rows were given",
                mend="Give the rows you vouch for with --trusted FILE, or choose reserve=screened.",
            )
        share = min(1.0, self.ratio * pool.num_rows / vouched.sum())
        chosen = np.zeros(pool.num_rows, dtype=bool)
        chosen[vouched] = random_reserve(pool.filter(pa.array(vouched)), task.classes, share, seed=seed)
        return chosen

    def _require_every_class(self, task: AnyTask, pool: pa.Table, in_reserve: BoolArray) -> None:
        if not in_reserve.any() and task.classes is None:
            raise RowsError("the reserve has no row", mend="It needs at least one: the prefix would never be taught.")
        what = "trusted row" if self.reserve == "trusted" else "row"
        require_every_class(task.classes or (), label_codes(pool, task.classes)[in_reserve], what)
