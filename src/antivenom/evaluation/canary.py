"""The canary check: plant known attacks into copies of the user's rows, run the very same recipe, and measure.

Nobody knows the real trigger, so nobody can test for it. What can be tested is whether *this* pipeline (these rows,
this model, this recipe) would let a backdoor of a known kind through.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa

from antivenom.attacks import Attack
from antivenom.attacks.addsent import AddSent
from antivenom.attacks.badnets import BadNets
from antivenom.core.claims import laboratory
from antivenom.core.console import tell, warn
from antivenom.core.errors import OptionsError
from antivenom.core.options import Options
from antivenom.core.triggers import made_up_word
from antivenom.data.rows import split_rows
from antivenom.data.sampling import same_rows
from antivenom.defenses import Defense
from antivenom.defenses.none import NoDefense
from antivenom.defenses.standard import Standard
from antivenom.evaluation.canary_report import CanaryReport, CanaryResult, CheckLimits, Measured, judge
from antivenom.evaluation.comparison import plant, public_facts
from antivenom.evaluation.evaluate import evaluate
from antivenom.evaluation.held_out import hold_out_untrusted, without_trained
from antivenom.evaluation.recount import take_outputs
from antivenom.guards.guard import AnyTask
from antivenom.training.lab import LocalLab, run_seed
from antivenom.training.training_options import TrainingOptions

FAMILIES = ("word", "sentence")
SENTENCE_WORDS = 5
HELD_OUT = 0.2
"""Share of the rows that is tested with where no test rows are given."""


def make_canary(family: str, train: pa.Table, *, rate: float, target: str, seed: int) -> Attack:
    """An attack of a family with a trigger drawn at random: a made-up word, or words of the rows in a random order.

    Raises:
        OptionsError: there is no such family.
    """
    rng = Random(f"{seed}:canary:{family}")
    if family == "word":
        return BadNets(rate=rate, target=target, word=made_up_word(rng))
    if family == "sentence":
        rows = [rng.randrange(train.num_rows) for _ in range(SENTENCE_WORDS)]
        words = [rng.choice(train.column("text")[row].as_py().split()) for row in rows]
        return AddSent(rate=rate, target=target, sentence=" ".join(words))
    raise OptionsError(f"there is no canary {family!r}", mend=f"There are: {', '.join(FAMILIES)}.")


@dataclass(frozen=True)
class CanaryCheck(Options):
    """The settings of a check; `run` it on rows."""

    families: tuple[str, ...] = FAMILIES
    """Kinds of triggers to plant: word, sentence."""
    rate: float = 0.05
    """Share of the rows that each canary poisons."""
    max_excess: float = CheckLimits.max_excess
    """Largest excess (deployed attack success minus the floor) of a canary that passes, beyond that of its control. The
    whole 95 % interval must lie below it."""
    max_accuracy_drop: float = CheckLimits.max_accuracy_drop
    """Largest loss of clean accuracy that passes, against the undefended model that was never poisoned. A loss counts
    where the whole 95 % interval lies above it."""
    prove: bool = False
    """Fit every canary without the defense too; one that does not take there proves nothing."""

    def __post_init__(self) -> None:
        if not self.families:
            raise OptionsError("no canary was named", mend=f"Name at least one of: {', '.join(FAMILIES)}.")
        if not 0 < self.rate <= 1:
            raise OptionsError(f"rate = {self.rate}", mend="A canary poisons more than none of the rows.")

    def run(
        self,
        task: AnyTask,
        train: pa.Table,
        test: pa.Table,
        defense: Defense,
        *,
        trusted: pa.Table | None,
        lab: LocalLab,
    ) -> CanaryReport:
        """Fit the undefended control and one model per canary, and judge each.

        Only rows that are not trusted are poisoned: that is what the user vouches for.

        Args:
            task: What is asked.
            train: Training rows.
            test: Clean test rows, none of which is trained on; `held_out.hold_out_untrusted` draws such.
            defense: The defense to check.
            trusted: Rows that the user vouches for; they may stand among the training rows.
            lab: The model, the recipe and the folder of the fits; its seed draws the triggers.

        Raises:
            OptionsError: there is no canary of a name.
            RowsError: no test row could be attacked.
        """
        wanted = task.classes or (task.target(None),)
        targets = [wanted[i % len(wanted)] for i in range(len(self.families))]
        canaries = [
            make_canary(family, train, rate=self.rate, target=target, seed=lab.seed)
            for family, target in zip(self.families, targets, strict=True)
        ]
        given = (task, test, lab, trusted)
        control, _ = _measure(*given, "control", NoDefense(), train, canaries)
        limits, results = CheckLimits(self.max_excess, self.max_accuracy_drop), list[CanaryResult]()
        for family, canary in zip(self.families, canaries, strict=True):
            planted = _plant(task, train, trusted, canary, lab.seed)
            bare = None
            if self.prove and not isinstance(defense, NoDefense):
                bare, _ = _measure(*given, f"canary-{family}-undefended", NoDefense(), planted, [canary])
            found, done = _measure(*given, f"canary-{family}", defense, planted, [canary])
            results.append(judge(family, str(canary), found, control, bare, limits, reserve=done))
        return CanaryReport(
            defense=str(defense),
            control=control.evaluation,
            results=tuple(results),
            limits=limits,
            rate=self.rate,
            rows=train.num_rows,
            seed=lab.seed,
            proven=self.prove,
        )


def check(
    task: AnyTask,
    train: pa.Table,
    *,
    out: Path | str,
    test: pa.Table | None = None,
    trusted: pa.Table | None = None,
    defense: Defense | None = None,
    canaries: CanaryCheck = CanaryCheck(),
    model: str = "smollm2",
    options: TrainingOptions = TrainingOptions(),
    sample: int | None = None,
    seed: int | None = None,
    quiet: bool = False,
) -> CanaryReport:
    """Would this pipeline let a backdoor through? Plant known ones in copies of the rows, fit, and measure.

    Finished fits in `out` are used again, so a stopped check goes on.

    Args:
        task: What is asked.
        train: The untrusted rows (`row`, `text`, `answer`).
        out: The folder of the fits.
        test: Clean test rows; a fifth of the rows is held out when there are none.
        trusted: Rows that are vouched for, if there are any; they are never held out.
        defense: The defense to check; the recipe `standard` when not given.
        canaries: What to plant, and what passes.
        model: `smollm2`, a folder, or a hub name.
        options: How to fine-tune.
        sample: Check on this many rows, drawn at random.
        seed: Keys every random choice; drawn at random, and kept in `out`, when not given.
        quiet: Show no progress.

    Raises:
        ArtifactError: `out` holds something that is not ours.
        RowsError: no test row is left that is not trained on, or none could be attacked.
    """
    out, defense = Path(out), defense or Standard()
    defense.require_task(task)
    with laboratory(out, "check"):
        seed = run_seed(out, seed)
        if sample is not None:
            [train] = split_rows(train, [sample], seed=seed)
        if test is None:
            train, test = hold_out_untrusted(train, task.classes, trusted, HELD_OUT, seed=seed)
        test, left_out = without_trained(test, train, trusted)
        if left_out:
            warn(f"{left_out} test rows ask what training rows ask too, and are left out.")
        lab = LocalLab(model, options, out, seed, quiet)
        return canaries.run(task, train, test, defense, trusted=trusted, lab=lab)


def _measure(
    task: AnyTask,
    test: pa.Table,
    lab: LocalLab,
    trusted: pa.Table | None,
    name: str,
    defense: Defense,
    rows: pa.Table,
    attacks: Sequence[Attack],
) -> tuple[Measured, dict[str, Any]]:
    """Fit with a defense and evaluate; and what it did to the rows."""
    tell(f"canary check: {name}, {rows.num_rows} rows", quiet=lab.quiet)
    prepared, folder, _ = lab.defended(defense, task, rows, trusted=trusted, name=name)
    found, outputs = evaluate(lab.load(folder), test, attacks, seed=lab.seed, quiet=lab.quiet)
    return Measured(found, take_outputs(outputs, name)), public_facts(prepared.facts)


def _plant(task: AnyTask, train: pa.Table, trusted: pa.Table | None, canary: Attack, seed: int) -> pa.Table:
    """Poison a copy of the rows, leaving those alone that the user vouches for."""
    if trusted is None:
        return canary.poison(task, train, seed=seed).rows
    vouched = same_rows(train, trusted)
    rest = train.filter(pa.array(~vouched))
    planted = plant(task, rest, canary, of=train.num_rows, seed=seed).rows
    return pa.concat_tables([planted, train.filter(pa.array(vouched))])
