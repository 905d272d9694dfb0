"""P2P on the rows whose label a model still believes that has never seen their kind."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np
import pyarrow as pa

from antivenom.core.arrays import BoolArray, Floats, Ints, States
from antivenom.core.errors import OptionsError, RowsError
from antivenom.core.report import Report
from antivenom.data.query import queries
from antivenom.data.sampling import join_trusted, label_codes
from antivenom.defenses import kinds
from antivenom.defenses.base import Defense, Prepared, plain_rows, reasons_table
from antivenom.defenses.held_out_belief import Calibration, HeldOutBelief, margins
from antivenom.defenses.p2p import P2P
from antivenom.guards.guard import AnyTask
from antivenom.guards.secret import Secret
from antivenom.models.lab import Lab
from antivenom.screening.screen import Screening, least_suspicious, screen

DEPTHS = (0.53, 0.8)
"""The shares of the untouched model's layers at which it is listened to: there a linear model reads the labels of rows
of SST-2, AG's News and CR best (85.8 % on average; 84.8 at 0.43 and 0.67; research/log.md)."""
RESERVE = 0.3
"""The share of each label that the first model is fitted on: what the screen finds least suspicious."""
AVOID = 0.2
"""The share of each label, the most associated rows, that this takes last."""
LEAST_ROWS = 24
"""Of each label it takes at least so many rows, though no more than half."""
ALIKE = 0.2
"""A row is left out that is one of the discovered with at least this chance, by what it reads like (research/log.md).
"""
ROUNDS = 6
EXACT = 400
"""Up to so many rows the tail of the Poisson binomial is summed; beyond, it is a normal one."""


@dataclass(frozen=True)
class _Kind:
    """A group of rows, and what was believed of it without itself."""

    rows: Ints
    code: int
    """The label of most of its rows."""
    likely: Floats
    """How likely each row has this label, according to a model that saw none of them."""

    def log_chance(self, codes: Ints, gone: BoolArray) -> float:
        """log10 of the chance that as many of the rows that are left have the label; 0 where too few are left."""
        left = ~gone[self.rows]
        rows = self.rows[left]
        own = int((codes[rows] == self.code).sum())
        if len(rows) < kinds.LEAST or own < kinds.ONE_SIDED * len(rows):
            return 0.0
        return log_tail(own, self.likely[left])


@dataclass(frozen=True)
class Believed:
    """What became of the rows."""

    discovered: BoolArray
    """Rows of a kind whose labels nobody expects who has not seen it."""
    believed: BoolArray
    """Rows whose label is the likeliest to a model that saw neither them nor what was discovered."""
    found: list[tuple[int, float]]
    """Of each discovered kind how many rows were left out, and the log10 of its chance."""


@dataclass(frozen=True, kw_only=True)
class LeaveGroupOut(Defense):
    """Keep a row if a model that never saw its kind still believes its label; teach P2P on what is kept.

    1. Rows are of one kind if they share a feature of the text (`screening/features.py`) or fall into one cluster of
       hidden states (`kinds.py`).
    2. A linear model of the untouched model's hidden states says how likely the labels of a kind are that was left out
       of it, exactly (`held_out_belief.py`); it starts from the least suspicious 30 % of the rows.
    3. A kind is discovered where the chance that so many of its rows have one label is below `error` over the number
       of kinds (the tail of a Poisson binomial; Bonferroni). Its rows with that label are left out, the least likely
       kind first, and the others are judged without them.
    4. This is repeated, with the model fitted on the rows that are believed, until nothing more is discovered.
    5. Left out as well are rows that read like discovered ones of their label (`ALIKE`), and rows whose label the last
       model does not read, itself never fitted on the row it reads.

    The bound: where rows are honest and the probabilities calibrated, the chance that any kind of honest rows is
    discovered in a round is at most `error`. The probabilities are calibrated over all rows, and not for each kind, and
    only kinds that lean to one label are counted, which is seen from the labels; so this is an approximation. No
    fine-tuning is asked for: it costs most of a pass over the rows.
    """

    name: ClassVar[str] = "leave_group_out"
    filters: ClassVar[bool] = True
    kinds: ClassVar[tuple[str, ...]] = ("classification",)
    costs: ClassVar[str] = "no fit; most of a pass over the rows; scikit-learn (pip install 'antivenom[defenses]')"

    secret: Secret | None = field(default=None, repr=False)
    """The benign trigger and the cue; drawn when not given. See `P2P.secret`."""
    error: float = 0.01
    """The chance in a round that honest rows are discovered."""

    def __post_init__(self) -> None:
        if not 0 < self.error < 1:
            raise OptionsError(
                f"error = {self.error}", mend="It is a chance above 0 and below 1; the usual one is 0.01."
            )
        self.p2p()

    def p2p(self) -> P2P:
        """How the rows that are kept are taught."""
        return P2P(secret=self.secret, reserve="screened", ratio=1.0, mode="replace", cue="split", others="drop")

    def check(self, task: AnyTask, rows: pa.Table, report: Report) -> None:
        """What in the rows stands against P2P."""
        self.p2p().check(task, rows, report)

    def prepare(self, task: AnyTask, rows: pa.Table, *, trusted: pa.Table | None, lab: Lab) -> Prepared:
        """Judge every row and keep what is believed.

        Raises:
            RowsError: of a label no row is believed, and none is trusted.
        """
        pool, vouched = join_trusted(rows, trusted)
        order = np.argsort(pool.column("row").to_numpy())
        found = self._judge(task, pool.take(pa.array(order)), lab)
        place = np.argsort(order)
        discovered, believed = found.discovered[place] & ~vouched, found.believed[place]
        kept = vouched | (believed & ~discovered)
        self._require_every_label(task, pool, kept)
        prepared = self.p2p().rebuilt(pool, kept, self.p2p().guard(task, lab.seed))
        said = np.select(
            [vouched, discovered, believed],
            [
                "vouched for",
                "of a kind whose labels a model does not expect that has not seen it",
                "its label is believed",
            ],
            "a model that has not seen it reads another label",
        )
        facts = {
            "discovered": int(discovered.sum()),
            "disbelieved": int((~kept & ~discovered).sum()),
            "kinds": [{"rows": count, "log10_chance": round(chance, 1)} for count, chance in found.found],
        }
        return replace(prepared, reasons=reasons_table(pool, said.tolist())).noting(**facts)

    def _require_every_label(self, task: AnyTask, pool: pa.Table, kept: BoolArray) -> None:
        codes, labels = label_codes(pool, task.classes), task.classes or ()
        lost = [labels[code] for code in np.setdiff1d(codes, codes[kept])]
        if lost:
            raise RowsError(
                f"no row of {', '.join(map(repr, lost))} is believed, and none is trusted",
                mend="Vouch for some rows of it with --trusted, or choose --defense standard.",
            )

    def _judge(self, task: AnyTask, rows: pa.Table, lab: Lab) -> Believed:
        codes, labels = label_codes(rows, task.classes), task.classes or ()
        if rows.num_rows < kinds.LEAST:
            return Believed(np.zeros(rows.num_rows, dtype=bool), np.ones(rows.num_rows, dtype=bool), [])
        plain = plain_rows(task, rows, None)
        inner = lab.base(plain.guard).inner_states(queries(plain.rows), DEPTHS, progress="states of the rows")
        screening = screen(rows, labels, lab.word_pieces, seed=lab.seed)
        reserve = least_suspicious(rows, screening, RESERVE, avoid=AVOID, least=LEAST_ROWS, seed=lab.seed)
        states = standardized(inner.reshape(len(inner), -1))
        middle = standardized(inner[:, 0, 1])
        return self.discover(states / np.sqrt(states.shape[1]), middle, codes, screening, reserve, seed=lab.seed)

    def discover(
        self, states: Floats, read: Floats, codes: Ints, screening: Screening, reserve: BoolArray, *, seed: int
    ) -> Believed:
        """Discover kinds, round by round, and judge what is left.

        Args:
            states: What the judge is fitted on; shape (rows, width).
            read: What rows are cut into clusters by; shape (rows, width).
            codes: The number of each row's label.
            screening: What features the rows have.
            reserve: The rows that the first judge is fitted on.
            seed: Keys where clusters start from.
        """
        labels, fitted = int(codes.max()) + 1, reserve
        gone, found = np.zeros(len(codes), dtype=bool), list[tuple[int, float]]()
        shared = list(kinds.by_feature(screening.association.table, codes))
        for number in range(ROUNDS):
            judge = HeldOutBelief.of(states, codes, labels, fitted)
            said = judge.of_rows()
            groups = [*shared, *kinds.by_cluster(read, codes, ~gone, seed=seed + number)]
            fresh = self._round(judge, said, codes, groups, gone)
            found += fresh
            alike = gone | (kinds.likeness(states, codes, gone) >= ALIKE)
            believed = ~alike & (margins(said, codes) > 0)
            if (not fresh and number) or len(np.unique(codes[believed])) < len(np.unique(codes)):
                break  # nothing more is discovered, or nothing of a label is believed: no model can be fitted on that
            fitted = believed
        else:
            believed = ~alike & (margins(HeldOutBelief.of(states, codes, labels, fitted).of_rows(), codes) > 0)
        return Believed(gone, believed, found)

    def _round(
        self, judge: HeldOutBelief, said: Floats, codes: Ints, groups: list[Ints], gone: BoolArray
    ) -> list[tuple[int, float]]:
        """Discover the least likely kinds and mark their rows in `gone`; how many rows each had, and its chance."""
        left = ~gone
        calibrated = [Calibration.of(margins(said[left], code), codes[left] == code) for code in range(said.shape[1])]
        held = (group[left[group]] for group in groups)
        asked = [_kind(judge, calibrated, codes, group) for group in held if kinds.one_sided(group, codes)]
        limit, found = np.log10(self.error / max(len(asked), 1)), list[tuple[int, float]]()
        queue = [(kind.log_chance(codes, gone), number) for number, kind in enumerate(asked)]
        heapq.heapify(queue)
        while queue and queue[0][0] < limit:
            before, number = heapq.heappop(queue)
            chance = asked[number].log_chance(codes, gone)
            if chance > before:  # rows of it are gone since
                heapq.heappush(queue, (chance, number))
                continue
            rows = asked[number].rows
            rows = rows[~gone[rows] & (codes[rows] == asked[number].code)]
            gone[rows] = True
            found.append((len(rows), chance))
        return found


def _kind(judge: HeldOutBelief, calibrated: list[Calibration], codes: Ints, group: Ints) -> _Kind:
    code = int(np.bincount(codes[group]).argmax())
    said = judge.of_group(group)
    return _Kind(group, code, calibrated[code](np.round(margins(said, code), 6)))


def log_tail(count: int, likely: Floats) -> float:
    """log10 of the chance that at least `count` of independent events happen (Poisson binomial).

    Args:
        count: How many happened.
        likely: The probability of each; beyond `EXACT` of them the normal approximation is taken.
    """
    if len(likely) > EXACT:
        from scipy.stats import norm

        deviation = np.sqrt((likely * (1 - likely)).sum())
        return float(norm.logsf((count - 0.5 - likely.sum()) / deviation) / np.log(10))
    chances = np.zeros(len(likely) + 1)
    chances[0] = 1.0
    for one in likely:
        chances[1:] = chances[1:] * (1 - one) + chances[:-1] * one
        chances[0] *= 1 - one
    return float(np.log10(max(chances[count:].sum(), 1e-300)))


def standardized(states: States) -> Floats:
    """Each number less its mean and over its standard deviation; shape (rows, width)."""
    centered = states - states.mean(axis=0, dtype=np.float64)
    found: Floats = centered / np.maximum(centered.std(axis=0), 1e-9)
    return found
