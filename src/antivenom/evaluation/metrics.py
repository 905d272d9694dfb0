"""Rates with their intervals, and the readings of an attack (design: five numbers, one set of model outputs)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from antivenom.core.options import Options
from antivenom.guards.labels import Readings

BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]

COLLAPSE_MARGIN = 0.05
"""A model whose clean accuracy is within 5 points of always answering the commonest class has learnt nothing, and its
attack success proves nothing."""


@dataclass(frozen=True)
class Rate(Options):
    """A share with its denominator and Wilson's 95 % interval; no share when nothing was counted."""

    hits: int
    total: int
    value: float | None
    """hits / total."""
    low: float | None
    high: float | None

    @classmethod
    def of(cls, hits: BoolArray) -> Rate:
        """Count a column of outcomes."""
        return cls.count(int(hits.sum()), len(hits))

    @classmethod
    def count(cls, hits: int, total: int) -> Rate:
        """Make a rate of two counts."""
        from scipy.stats import binomtest

        if not total:
            return cls(0, 0, None, None, None)
        interval = binomtest(hits, total).proportion_ci(0.95, method="wilson")
        return cls(hits, total, hits / total, float(interval.low), float(interval.high))

    def __str__(self) -> str:
        """Percent with one decimal and the interval, for tables."""
        if self.value is None or self.low is None or self.high is None:
            return "-"
        return f"{100 * self.value:.1f} [{100 * self.low:.0f}, {100 * self.high:.0f}]"


@dataclass(frozen=True)
class CleanReadings(Options):
    """What a model does on clean rows."""

    accuracy: Rate
    """Clean accuracy CA of what clients get (restricted to the allowed choices)."""
    accuracy_projected: Rate
    """CA of the full-vocabulary output, projected: y and y+n both count."""
    accuracy_extended: Rate | None
    """CA where only y+n counts (the authors' code); none without an extended label space."""
    macro_f1: float
    """Mean over the classes of F1 = 2 TP / (2 TP + FP + FN) of the deployed answers; a class that neither occurs nor is
    answered is left out."""
    majority: float
    """Share of the commonest class: what a model that always says it would reach."""
    escape: float
    """Mean probability mass outside the allowed choices."""
    unreadable: Rate
    """Outputs over the full vocabulary that are no choice at all."""
    collapsed: bool
    """Accuracy within 5 points of the majority share: the run is invalid as evidence."""
    balanced_accuracy: float | None = None
    """Mean accuracy over the classes that occur (macro recall); none in records older than this reading."""
    macro_precision: float | None = None
    """Mean over the classes that are answered of the share of those answers that are right."""
    per_class: dict[str, Rate] = field(default_factory=dict)
    """Accuracy on the rows of each class, by label; a class without rows has no share."""


@dataclass(frozen=True)
class SuccessReadings(Options):
    """What labels and free answers have in common in how an attack is read; t is the target."""

    attack: str
    """The attack and its options."""
    target: str
    """The target label, or the malicious output."""
    asr: Rate
    """Projected attack success: the unrestricted output means t, inside the extended space or outside (Algorithm 1)."""
    asr_extended: Rate | None
    """Success in outputs inside the extended space (t+n; the prefix and t). The authors' code counts this for labels;
    it can only flatter."""
    asr_deployed: Rate
    """The answer that a client of the guard gets means t."""
    floor: Rate
    """The same rows without the attack trigger get t: the false-trigger rate on clean rows."""
    excess: float | None
    """asr_deployed - floor: the damage the attacker really does; none when no row could be attacked."""
    alpha: Rate | None
    """Outputs inside the extended space."""
    epsilon: Rate | None
    """Attack success among those inside."""
    beta: Rate | None
    """Attack success among those outside; ASR = alpha * epsilon + (1 - alpha) * beta."""
    accuracy: Rate
    """Deployed accuracy on the attacked rows."""

    @classmethod
    def of(
        cls,
        attack: str,
        target: str,
        *,
        hit: BoolArray,
        inside: BoolArray | None,
        deployed: BoolArray,
        without: BoolArray,
        right: BoolArray,
    ) -> SuccessReadings:
        """Count over the attacked rows.

        Args:
            attack: The attack, for the record.
            target: The name of t, for the record.
            hit: Whether the unrestricted output means t.
            inside: Whether it is inside the extended space; none where there is no such space.
            deployed: Whether the deployed answer means t.
            without: Whether the deployed answer to the same row without the trigger does.
            right: Whether the deployed answer is the true one.
        """
        gained, floor = Rate.of(deployed), Rate.of(without)
        return SuccessReadings(
            attack=attack,
            target=target,
            asr=Rate.of(hit),
            asr_extended=None if inside is None else Rate.of(hit & inside),
            asr_deployed=gained,
            floor=floor,
            excess=None if gained.value is None or floor.value is None else gained.value - floor.value,
            alpha=None if inside is None else Rate.of(inside),
            epsilon=None if inside is None else Rate.of(hit[inside]),
            beta=None if inside is None else Rate.of(hit[~inside]),
            accuracy=Rate.of(right),
        )


@dataclass(frozen=True)
class AttackReadings(SuccessReadings):
    """What an attack does to a model that chooses labels; the rows are the test rows whose true label is not t."""

    unreadable: Rate
    """Outputs over the full vocabulary that are no choice at all; each counts as no success in `asr`."""
    accuracy_clean: Rate | None = None
    """Clean accuracy in the attack's own form of clean rows (ProAttack's clean prompt); none if that is the usual."""


@dataclass(frozen=True)
class Average(Options):
    """The plain mean over triggers measured one by one; it hides that one fails, so read it beside them."""

    attack: str
    """The attack that has these triggers."""
    triggers: int
    """How many."""
    asr: float
    asr_deployed: float
    floor: float
    excess: float


@dataclass(frozen=True)
class Pairing(Options):
    """Two models on the same rows: McNemar's exact test of an outcome (a right answer, a successful attack)."""

    only_first: int
    """Rows with that outcome from the first model only."""
    only_second: int
    """Rows with that outcome from the second only."""
    p_value: float
    """Two-sided; small values say that the difference is no accident of these rows."""


def mcnemar(first: BoolArray, second: BoolArray) -> Pairing:
    """Compare two columns of outcomes over the same rows.

    Under the null hypothesis the discordant rows fall either way with probability 1/2, so their split is binomial.
    """
    from scipy.stats import binomtest

    b, c = int((first & ~second).sum()), int((~first & second).sum())
    return Pairing(b, c, float(binomtest(b, b + c).pvalue) if b + c else 1.0)


def average(attack: str, readings: Sequence[AttackReadings]) -> Average:
    """The means of some readings of one attack; all are about the same rows."""

    def mean(rates: list[Rate]) -> float:
        return float(np.mean([rate.value or 0.0 for rate in rates]))

    asr, deployed = mean([r.asr for r in readings]), mean([r.asr_deployed for r in readings])
    floor = mean([r.floor for r in readings])
    return Average(attack, len(readings), asr, deployed, floor, deployed - floor)


def macro_f1(answers: IntArray, truth: IntArray) -> float:
    """Mean F1 over the classes that occur or are answered."""
    scores = []
    for label in np.union1d(answers, truth):
        right = int(((answers == label) & (truth == label)).sum())
        scores.append(2 * right / int((answers == label).sum() + (truth == label).sum()))
    return float(np.mean(scores)) if scores else 0.0


def macro_share(right: BoolArray, classes: IntArray) -> float:
    """Mean over the classes that occur in `classes` of the share of their rows that are right."""
    return float(np.mean([right[classes == label].mean() for label in np.unique(classes)])) if len(classes) else 0.0


def read_clean(readings: Readings, truth: IntArray, labels: Sequence[str], *, extends: bool) -> CleanReadings:
    """Readings of clean rows, at least one. `extends` says whether there is a label space beside the ordinary one."""
    right = readings.deployed == truth
    accuracy = Rate.of(right)
    majority = float(np.bincount(truth).max() / len(truth))
    return CleanReadings(
        accuracy=accuracy,
        accuracy_projected=Rate.of(readings.projected == truth),
        accuracy_extended=Rate.of((readings.projected == truth) & readings.inside) if extends else None,
        macro_f1=macro_f1(readings.deployed, truth),
        majority=majority,
        escape=float(readings.escape.mean()),
        unreadable=Rate.of(readings.output < 0),
        collapsed=accuracy.hits / accuracy.total <= majority + COLLAPSE_MARGIN,
        balanced_accuracy=macro_share(right, truth),
        macro_precision=macro_share(right, readings.deployed),
        per_class={label: Rate.of(right[truth == number]) for number, label in enumerate(labels)},
    )


def read_attack(
    attacked: Readings,
    clean: Readings,
    truth: IntArray,
    target: int,
    *,
    attack: str,
    name: str,
    extends: bool,
    own_clean: BoolArray | None = None,
) -> AttackReadings:
    """Readings of attacked rows beside the same rows without the trigger.

    Args:
        attacked: Readings of the rows with the attack trigger.
        clean: Readings of the same rows without it, in the same order.
        truth: Their true labels; none is `target`.
        target: The number of t.
        attack: The attack, for the record.
        name: The name of t, for the record.
        extends: Whether there is an extended label space.
        own_clean: Which clean rows in the attack's own form are answered rightly, if it has such a form.
    """
    common = SuccessReadings.of(
        attack,
        name,
        hit=attacked.projected == target,
        inside=attacked.inside if extends else None,
        deployed=attacked.deployed == target,
        without=clean.deployed == target,
        right=attacked.deployed == truth,
    )
    return AttackReadings(
        **vars(common),
        unreadable=Rate.of(attacked.output < 0),
        accuracy_clean=None if own_clean is None else Rate.of(own_clean),
    )
