"""What the guard does besides wrapping: purifiers change texts, monitors refuse inputs or watch answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np

from antivenom.core.errors import ArtifactError, OptionsError
from antivenom.data.query import Asked, as_query
from antivenom.defenses import DecodingStep, Monitor, Purifier, decoding_steps, monitors, purifiers
from antivenom.guards.guard import Guard, InputStep
from antivenom.guards.labels import ChoiceScores
from antivenom.models.base import Generator
from antivenom.models.lab import Fitted

StepType = TypeVar("StepType", Purifier, Monitor, DecodingStep)


class InputSteps:
    """The purifiers and monitors of a guard, built from its manifest; they act in the order of the chain."""

    def __init__(self, guard: Guard) -> None:
        """Build every step.

        Raises:
            ArtifactError: a step is unknown, or its settings are wrong.
        """
        # The methods are looked for where the guard names one alone: it imports them all.
        self._purifiers = [_built(step, purifiers(), "purifier") for step in guard.purifiers]
        decoding = decoding_steps() if guard.monitors else {}
        self._decoding = [_built(step, decoding, "monitor") for step in guard.monitors if step.name in decoding]
        others = [step for step in guard.monitors if step.name not in decoding]
        self._monitors = [_built(step, monitors(), "monitor") for step in others]

    def purify(self, asked: Sequence[Asked], model: Fitted) -> list[Asked]:
        """What the model is to read instead of what was asked; contexts and images stay as they are."""
        if not self._purifiers:
            return list(asked)
        texts = [as_query(one).text for one in asked]
        for purifier in self._purifiers:
            texts = purifier.purify(texts, model)
        pairs = zip(asked, texts, strict=True)
        return [text if isinstance(one, str) else replace(one, text=text) for one, text in pairs]

    def watched(self, generator: Generator, base: Callable[[], Any] | None) -> Generator:
        """What writes free answers: the generator, or what the guard puts in its place.

        Args:
            generator: Writes with the trained model.
            base: Loads the untouched base model; None where there is none.

        Raises:
            OptionsError: the guard asks the base model, and there is none.
        """
        for step in self._decoding:
            if base is None:
                raise OptionsError(
                    f"{step.name} asks the base model, which is not here", mend="Load the artifact with load_guarded."
                )
            generator = step.watched(generator, base)
        return generator

    def watch(self, asked: Sequence[Asked], scores: ChoiceScores, model: Fitted) -> ChoiceScores:
        """The scores, with what any monitor refuses marked as refused."""
        refused = np.zeros(len(scores), dtype=bool)
        for monitor in self._monitors:
            refused |= ~monitor.accept(asked, scores, model)
        return replace(scores, refused=refused) if refused.any() else scores


def _built(step: InputStep, known: dict[str, type[StepType]], kind: str) -> StepType:
    if step.name not in known:
        raise ArtifactError(
            f"the guard has the {kind} {step.name!r}, which is not installed",
            mend=f"There are: {', '.join(known) or 'none'}. Install the package that it came from.",
        )
    return known[step.name].from_dict(step.settings)
