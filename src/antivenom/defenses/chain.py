"""Several defenses one behind the other, written `a+b`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from antivenom.core.errors import OptionsError
from antivenom.core.report import Report
from antivenom.data.rows import row_columns
from antivenom.defenses.base import STAGES, Defense, Prepared, Stage
from antivenom.guards.guard import AnyTask, Guard
from antivenom.guards.secret import NO_SECRET
from antivenom.models.lab import Lab, TrainingChanges


@dataclass(frozen=True, kw_only=True)
class Chain(Defense):
    """Defenses in their order: each prepares the rows that the one before left, and repairs what that one repaired.

    Purifiers and monitors of all stand in the guard, in the order of the chain. At most one may have a benign trigger
    (it decides how answers are coded), and at most one may change the loss. `"+".join` of the parts' specs is its spec.
    """

    parts: tuple[Defense, ...]
    """Two or more."""

    @property
    def name(self) -> str:  # type: ignore[override]
        """The names of the parts, joined by plus signs."""
        return "+".join(part.name for part in self.parts)

    @property
    def stages(self) -> tuple[Stage, ...]:  # type: ignore[override]
        """Every stage at which a part acts."""
        return tuple(stage for stage in STAGES if any(stage in part.stages for part in self.parts))

    @property
    def filters(self) -> bool:  # type: ignore[override]
        """Whether a part always leaves rows out."""
        return any(part.filters for part in self.parts)

    @property
    def needs(self) -> tuple[str, ...]:  # type: ignore[override]
        """What the parts need."""
        return tuple(dict.fromkeys(need for part in self.parts for need in part.needs))

    @property
    def approximation(self) -> str:  # type: ignore[override]
        """How the parts depart from the published methods."""
        return "; ".join(f"{part.name}: {part.approximation}" for part in self.parts if part.approximation)

    @property
    def costs(self) -> str:  # type: ignore[override]
        """What the parts cost."""
        return "; ".join(f"{part.name}: {part.costs}" for part in self.parts)

    def spec(self) -> str:
        """The specs of the parts, with their secrets."""
        return "+".join(part.spec() for part in self.parts)

    def to_dict(self) -> dict[str, Any]:
        """Names and options of all parts."""
        return {"name": self.name, "parts": [part.to_dict() for part in self.parts]}

    def public_dict(self) -> dict[str, Any]:
        """The same without secrets."""
        return {"name": self.name, "parts": [part.public_dict() for part in self.parts]}

    def __str__(self) -> str:
        return "+".join(map(str, self.parts))

    def require_task(self, task: AnyTask) -> None:
        """Refuse a task that one of the parts refuses."""
        for part in self.parts:
            part.require_task(task)

    def check(self, task: AnyTask, rows: pa.Table, report: Report) -> None:
        """What stands against any of the parts; and against a filter in front of one that judges by what it sees."""
        for part in self.parts:
            part.check(task, rows, report)
        for first, second in zip(self.parts, self.parts[1:], strict=False):
            if first.filters and second.filters:
                report.note(f"{first.name} in front of {second.name} takes away what {second.name} learns from")

    def fits(self, task: AnyTask) -> dict[str, float]:
        """The fits of all parts."""
        return {name: size for part in self.parts for name, size in part.fits(task).items()}

    def prepare(self, task: AnyTask, rows: pa.Table, *, trusted: pa.Table | None, lab: Lab) -> Prepared:
        """Prepare the rows with each part in turn.

        Raises:
            OptionsError: two parts have a benign trigger, or two change the loss.
        """
        prepared: list[Prepared] = []
        reasons = dict[int, str]()
        for part in self.parts:
            found = part.prepare(task, rows, trusted=trusted, lab=lab)
            if part is not self.parts[-1] and found.guard.secret:
                raise OptionsError(
                    f"{part.name} stands in front of another defense, but has a benign trigger",
                    mend=f"Put {part.name} last.",
                )
            prepared.append(found)
            reasons |= _reasons_of(part, rows, found)
            rows = as_given(found.rows)
        return replace(
            prepared[-1],
            guard=_joined_guard([one.guard for one in prepared]),
            training=reduce(_joined_training, (one.training for one in prepared)),
            facts={part.name: one.facts for part, one in zip(self.parts, prepared, strict=True)}
            | prepared[-1].facts
            | {"chain": [str(part) for part in self.parts]},
            aside=next((one.aside for one in prepared if one.aside is not None), None),
            reasons=pa.table({"row": list(reasons), "reason": list(reasons.values())}),
        )

    def repair(self, model: Any, task: AnyTask, *, trusted: pa.Table | None, prepared: Prepared, lab: Lab) -> Any:
        """Repair with each part in turn."""
        for part in self.parts:
            model = part.repair(model, task, trusted=trusted, prepared=prepared, lab=lab)
        return model


def _reasons_of(part: Defense, given: pa.Table, found: Prepared) -> dict[int, str]:
    """Why a part did what it did with each row, or that it left it out."""
    if found.reasons is not None:
        said = zip(found.reasons.column("row").to_pylist(), found.reasons.column("reason").to_pylist(), strict=True)
        return {row: f"{part.name}: {reason}" for row, reason in said}
    kept = set(found.rows.column("row").to_pylist())
    return {row: f"{part.name}: left out" for row in given.column("row").to_pylist() if row not in kept}


def as_given(rows: pa.Table) -> pa.Table:
    """Prepared rows as another defense takes them: each once, without the benign mark."""
    plain = rows.filter(pc.invert(rows.column("benign")))
    return plain.select(row_columns(plain))


def _joined_guard(guards: list[Guard]) -> Guard:
    last = guards[-1]
    assert all(guard.secret == NO_SECRET for guard in guards[:-1]), "prepare refuses them"
    return replace(
        last,
        purifiers=tuple(step for guard in guards for step in guard.purifiers),
        monitors=tuple(step for guard in guards for step in guard.monitors),
    )


def _joined_training(first: TrainingChanges, second: TrainingChanges) -> TrainingChanges:
    if first.loss is not None and second.loss is not None:
        raise OptionsError("two defenses of the chain change the loss", mend="Leave one of them out.")
    one, other = first.overrides, second.overrides
    clash = sorted(name for name in one.keys() & other.keys() if one[name] != other[name])
    if clash:
        raise OptionsError(f"two defenses of the chain prescribe another {clash[0]}", mend="Leave one of them out.")
    return TrainingChanges(
        first.loss or second.loss,
        (*first.callbacks, *second.callbacks),
        {**first.overrides, **second.overrides},
        max(first.instead_of, second.instead_of),
        min(first.most_steps, second.most_steps),
        "+".join(filter(None, (first.key, second.key))),
    )
