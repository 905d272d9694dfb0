"""What a step of the guard is that acts while an answer is written."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from antivenom.core.registry import Method
from antivenom.models.base import Generator


class DecodingStep(Method, ABC):
    """Changes how free answers are written. It stands among the guard's monitors, so its options decide what it does.

    Of two such steps the last one writes.
    """

    @abstractmethod
    def watched(self, generator: Generator, base: Callable[[], Any]) -> Generator:
        """What writes in the place of a generator.

        Args:
            generator: Writes with the trained model.
            base: Loads the untouched base model (of torch), whose weights are never written to.
        """
