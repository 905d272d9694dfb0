"""Confident learning (Northcutt et al., JAIR 2021), the rule behind cleanlab: rows whose label looks wrong go."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import pyarrow as pa

from antivenom.core.arrays import BoolArray, Floats, Ints
from antivenom.core.errors import OptionsError
from antivenom.core.options import check_choices
from antivenom.data.query import queries
from antivenom.data.sampling import label_codes
from antivenom.defenses.base import Defense, Prepared
from antivenom.defenses.filtering import DIGITS, fitted_on_all, folds, untouched, without_suspects
from antivenom.defenses.logistic import fit_logistic, probabilities
from antivenom.guards.guard import AnyTask
from antivenom.models.lab import Lab

TOLERANCE = 1e-6
"""A probability so little below a threshold reaches it, as in cleanlab."""


@dataclass(frozen=True, kw_only=True)
class ConfidentLearning(Defense):
    """Leave out the rows whose label a model that has not seen them finds wrong, as many as the confident joint says.

    Probabilities are out of fold: each row is judged by a logistic regression on states that was fitted on the other
    folds. t_k is the mean probability of label k over the rows labeled k; a row labeled i counts as a j where p_j alone
    is at or above its t, or several are and p_j is the largest of all. These counts, scaled so that the rows of each
    label add up, are the confident joint; of each off-diagonal pair (i, j) so many rows go, those with the largest
    p_j - p_i (prune by noise rate). As in cleanlab, a row whose own label is the likeliest stays, and of each label one
    row at least.

    Where a trigger shows in the states, the folds learn it, and poison looks well labeled: expect a recall of about
    1 - attack success. `states` says which states.
    """

    name: ClassVar[str] = "confident_learning"
    filters: ClassVar[bool] = True
    kinds: ClassVar[tuple[str, ...]] = ("classification",)
    costs: ClassVar[str] = "one pass over the rows; with states=fine_tuned one fit on all rows besides"
    approximation: ClassVar[str] = "cleanlab 2.9's rule, written anew; compared with its masks by a test"

    states: Literal["frozen", "fine_tuned"] = "frozen"
    """Of the untouched base model, or of one that was fine-tuned on all rows (and has learned the trigger)."""
    folds: int = 5
    """How many parts the rows are cut into."""

    def __post_init__(self) -> None:
        check_choices(self)
        if self.folds < 2:
            raise OptionsError(f"folds = {self.folds}", mend="It is at least 2.")

    def prepare(self, task: AnyTask, rows: pa.Table, *, trusted: pa.Table | None, lab: Lab) -> Prepared:
        """Judge every row out of fold and prune."""
        find = untouched if self.states == "frozen" else fitted_on_all
        fitted, taught = find(task, rows, trusted, lab)
        codes, count = label_codes(rows, task.classes), len(task.classes or ())
        if not rows.num_rows:
            return without_suspects(task, rows, np.zeros(0, dtype=bool), trusted, {"states": self.states})
        found = fitted.answer_states(queries(taught), progress="states of the rows").astype(np.float64)
        judged = out_of_fold(found, codes, count, folds(rows, self.folds, seed=lab.seed), rows)
        joint = confident_joint(judged, codes)
        facts = {"states": self.states, "confident_joint": joint.tolist()}
        return without_suspects(task, rows, prune_by_noise_rate(judged, codes, joint), trusted, facts)


def out_of_fold(states: Floats, codes: Ints, count: int, fold: Ints, rows: pa.Table) -> Floats:
    """The probability of each label for each row, by a model that was fitted on the other folds.

    Args:
        states: Shape (rows, width).
        codes: The number of each row's label.
        count: How many labels there are.
        fold: The fold of each row.
        rows: The rows; their numbers give sums an order of their own.
    """
    order = np.argsort(rows.column("row").to_numpy())
    judged = np.full((len(codes), count), 1.0 / count)
    for own in np.unique(fold):
        held, rest = order[fold[order] == own], order[fold[order] != own]
        if len(rest):
            judged[held] = probabilities(fit_logistic(states[rest], codes[rest], count), states[held])
    return np.round(judged, DIGITS)


def confident_joint(judged: Floats, codes: Ints) -> Ints:
    """How many rows labeled i are of label j, estimated; shape (labels, labels), rows add up to the labels' counts.

    Args:
        judged: Out-of-fold probabilities; shape (rows, labels).
        codes: The number of each row's label.
    """
    count = judged.shape[1]
    sizes = np.bincount(codes, minlength=count)
    thresholds = np.array([judged[codes == k, k].mean() if sizes[k] else np.inf for k in range(count)])
    possible = judged >= thresholds - TOLERANCE
    guess = np.where(possible.sum(axis=1) > 1, judged.argmax(axis=1), possible.argmax(axis=1))
    counted = np.zeros((count, count))
    np.add.at(counted, (codes[possible.any(axis=1)], guess[possible.any(axis=1)]), 1)
    counted[np.arange(count), np.arange(count)] = np.maximum(counted.diagonal(), 1)
    return _rounded(counted / counted.sum(axis=1, keepdims=True) * sizes[:, np.newaxis])


def _rounded(shares: Floats) -> Ints:
    """The nearest whole numbers, but where rows would have other totals: there those change that were rounded most."""
    shares = np.round(shares, DIGITS)
    found: Ints = np.rint(shares).astype(np.int64)
    for row, wanted in zip(found, shares, strict=True):
        missing = round(float(wanted.sum())) - int(row.sum())
        row[np.argsort(np.sign(missing) * (wanted - row), kind="stable")[::-1][: abs(missing)]] += np.sign(missing)
    return found


def prune_by_noise_rate(judged: Floats, codes: Ints, joint: Ints) -> BoolArray:
    """Of the rows labeled i the joint's number of those that look most like a j, for every other j.

    Rows whose own label is the likeliest stay, and of each label the row that it suits best.

    Args:
        judged: Out-of-fold probabilities; shape (rows, labels).
        codes: The number of each row's label.
        joint: See `confident_joint`.
    """
    suspect = np.zeros(len(codes), dtype=bool)
    for i, j in zip(*np.nonzero(joint), strict=True):
        own = np.flatnonzero(codes == i)
        if i != j and len(own):
            margins = judged[own, j] - judged[own, i]
            least = np.sort(margins)[::-1][min(int(joint[i, j]), len(own)) - 1]
            suspect[own[margins >= least]] = True
    suspect &= judged.argmax(axis=1) != codes
    for i in np.unique(codes):
        own = np.flatnonzero(codes == i)
        if suspect[own].all():
            suspect[own[judged[own, i].argmax()]] = False
    return suspect
