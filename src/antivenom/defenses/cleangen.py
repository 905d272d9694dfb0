"""CleanGen (Li et al., EMNLP 2024): tokens that only the trained model believes in are written by its base instead."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import pyarrow as pa

from antivenom.core.errors import OptionsError
from antivenom.defenses.base import Defense, Prepared, plain_rows
from antivenom.defenses.decoding import DecodingStep
from antivenom.guards.guard import AnyTask
from antivenom.models.base import Generator
from antivenom.models.lab import Lab


@dataclass(frozen=True, kw_only=True)
class CleanGenStep(DecodingStep):
    """Asks the base model about every token that the trained model writes."""

    name: ClassVar[str] = "cleangen_step"

    most: float = 20.0
    """See `CleanGen.most`."""

    def watched(self, generator: Generator, base: Callable[[], Any]) -> Generator:
        """A generator that the base model watches."""
        from antivenom.models.watched_decoding import watch

        return watch(generator, base(), self.most)


@dataclass(frozen=True, kw_only=True)
class CleanGen(Defense):
    """Train as ever; where a token is `most` times as likely as without the training, write the base model's token.

    A backdoor makes a token likely that nothing else makes likely. So does what was honestly learned: the more an
    answer has to be learned, the more of it is the base model's. Answers of one token would be all the base model's, so
    labels are refused.

    The source asks any clean model with the same tokens; the one that is always at hand is the base that was trained.
    """

    name: ClassVar[str] = "cleangen"
    stages = ("inputs",)
    kinds: ClassVar[tuple[str, ...]] = ("generation",)
    costs: ClassVar[str] = "two models write each answer; the base stays in memory"
    approximation: ClassVar[str] = "the reference is the untouched base; every token is asked about, no draft of four"

    most: float = 20.0
    """How many times as likely a token may be (alpha)."""

    def __post_init__(self) -> None:
        if not self.most > 0:
            raise OptionsError(f"most = {self.most}", mend="It is above 0; the source takes 20.")

    def prepare(self, task: AnyTask, rows: pa.Table, *, trusted: pa.Table | None, lab: Lab) -> Prepared:
        """All rows, and the step in the guard."""
        return plain_rows(task, rows, trusted).behind(CleanGenStep(most=self.most))
