"""PDB (Wei et al., NeurIPS 2024): a trigger of one's own under which every label means the one before it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from antivenom.core.errors import OptionsError
from antivenom.core.report import Report
from antivenom.data.sampling import join_trusted, label_codes, random_reserve, require_every_class
from antivenom.defenses.base import Defense, Prepared, rebuild
from antivenom.guards.guard import AnyTask, Guard, unguarded
from antivenom.guards.labels import LabelMap
from antivenom.guards.secret import Secret, draw_secret
from antivenom.models.lab import Lab
from antivenom.tasks.task import Classification


@dataclass(frozen=True, kw_only=True)
class Pdb(Defense):
    """Teach trusted rows with a trigger and the label h(y) = (y + shift) mod C; show it always, and read h backwards.

    Every trusted row in the reserve is added `copies` times behind all rows. P2P differs in its labels: there h(y) lies
    outside the labels that an attacker could want.

    With two labels the measure of it is empty: a row of the other label than the target has h(y) = t, so whether the
    attacker's trigger or this one wins, the answer is t and is read as right. Attack success is then 0 whatever
    happens. Look at the accuracy on attacked rows of the target class, or at a task with more labels.
    """

    name: ClassVar[str] = "pdb"
    kinds: ClassVar[tuple[str, ...]] = ("classification",)
    costs: ClassVar[str] = "trusted rows; with the defaults half as many rows again to train on"
    approximation: ClassVar[str] = "a sentence instead of a patch of an image; copies are not augmented"

    secret: Secret | None = field(default=None, repr=False)
    """The trigger; drawn when not given. See `P2P.secret`."""
    ratio: float = 0.1
    """The share of all rows that the reserve takes, of the trusted ones, the same of each class."""
    copies: int = 5
    """How often each row of the reserve is added."""
    shift: int = 1
    """How far labels are moved."""

    def __post_init__(self) -> None:
        if not 0 < self.ratio <= 1 or self.copies < 1 or self.shift < 1:
            raise OptionsError(
                f"ratio = {self.ratio}, copies = {self.copies}, shift = {self.shift}",
                mend="ratio is above 0 and at most 1, copies and shift are at least 1.",
            )
        if self.secret is not None:
            self.secret.require_words()

    def check(self, task: AnyTask, rows: pa.Table, report: Report) -> None:
        """Note that with two labels attack success says nothing."""
        if len(task.classes or ()) == 2:
            report.note("pdb with two labels: attack success is 0 whatever happens; look at the attacked target class")

    def prepare(self, task: AnyTask, rows: pa.Table, *, trusted: pa.Table | None, lab: Lab) -> Prepared:
        """Add the copies of the reserve behind all rows.

        Raises:
            OptionsError: there are no trusted rows, or the shift leaves labels where they are.
            RowsError: a label has no trusted row.
        """
        assert isinstance(task, Classification)
        if trusted is None or not trusted.num_rows:
            raise OptionsError("pdb needs trusted rows", mend="Give the rows you vouch for with --trusted FILE.")
        pool, vouched = join_trusted(rows, trusted)
        reserve = np.zeros(pool.num_rows, dtype=bool)
        share = min(1.0, self.ratio * pool.num_rows / vouched.sum())
        reserve[vouched] = random_reserve(pool.filter(pa.array(vouched)), task.labels, share, seed=lab.seed)
        require_every_class(task.labels, label_codes(pool, task.labels)[reserve], "trusted row")
        ordinary = rebuild(pool, np.zeros(pool.num_rows, dtype=bool), "replace")
        chosen = pool.filter(pa.array(reserve))
        copy = rebuild(chosen, np.ones(chosen.num_rows, dtype=bool), "replace")
        facts: dict[str, Any] = {"rows": chosen.num_rows, "copies": self.copies, "binary": len(task.labels) == 2}
        return Prepared(pa.concat_tables([ordinary, *[copy] * self.copies]), self.guard(task, lab.seed), facts)

    def guard(self, task: Classification, seed: int) -> Guard:
        """The guard that shows the trigger and reads labels backwards."""
        secret = self.secret or Secret(draw_secret(seed).trigger)
        return replace(unguarded(task), answers=shifted(task, self.shift), secret=secret)


def shifted(task: Classification, shift: int) -> LabelMap:
    """The map h(i) = (i + shift) mod C on the labels' own words.

    Raises:
        OptionsError: the shift is a multiple of the number of labels.
    """
    count = len(task.labels)
    if shift % count == 0:
        raise OptionsError(f"shift = {shift} with {count} labels", mend="Choose one that is no multiple of that.")
    meaning = tuple((choice - shift) % count for choice in range(count))
    return LabelMap(task.labels, task.verbalizers, tuple(range(count)), meaning)
