"""What a laboratory hands out: a model behind its guard that answers a defense's questions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from antivenom.core.arrays import Floats
from antivenom.core.errors import OptionsError
from antivenom.core.progress import Advance, progress_bar
from antivenom.data.query import Asked
from antivenom.guards.encoding import LabelEncoder, TextEncoder, make_encoder
from antivenom.guards.guard import Guard, require_text
from antivenom.guards.labels import ChoiceScores
from antivenom.models.base_model import LocatedModel
from antivenom.models.base_store import BaseStore
from antivenom.models.lab import HeadGradient
from antivenom.models.placement import Precision


class FittedModel:
    """A model behind its guard, asked quietly where nobody wants bars; see `models.lab.Fitted`."""

    def __init__(self, encoder: LabelEncoder | TextEncoder, scorer: Any, quiet: bool) -> None:
        """Join what renders, what scores or writes (`LocalModel`, `LocalGenerator`), and whether bars are shown."""
        self._encoder = encoder
        self._scorer = scorer
        self._quiet = quiet

    @property
    def guard(self) -> Guard:
        """Wraps what is asked and reads what is said."""
        return self._encoder.guard

    def score(self, asked: Sequence[Asked], *, progress: str | None = None) -> ChoiceScores:
        """Score the choices of the guard's label map for each text or query."""
        encoder = self._encoder
        if not isinstance(encoder, LabelEncoder):
            raise OptionsError("this defense asks for the scores of labels, but the answers of this task are free text")
        found: ChoiceScores = self._scorer.score(
            encoder.serving(asked), encoder.choices, progress=None if self._quiet else progress
        )
        return found

    def answer_states(self, asked: Sequence[Asked], *, progress: str | None = None) -> npt.NDArray[np.float32]:
        """The last hidden state where the answer is predicted, under the guard; shape (texts, width)."""
        from antivenom.models.questions import answer_states

        require_text(self.guard.task)
        with self._reading(progress, len(asked)) as advance:
            return answer_states(self._module, self._encoder.serving(asked), advance=advance)

    def inner_states(
        self, asked: Sequence[Asked], depths: Sequence[float], *, progress: str | None = None
    ) -> npt.NDArray[np.float32]:
        """Hidden states at some shares of the layers, at the end and on average; shape (texts, depths, 2, width)."""
        from antivenom.models.inner_states import inner_states

        with self._reading(progress, len(asked)) as advance:
            return inner_states(self._module, self._encoder.serving(asked), depths, advance=advance)

    def losses(self, rows: pa.Table, *, progress: str | None = None) -> Floats:
        """The mean cross-entropy of each prepared row's answer tokens; shape (rows,)."""
        from antivenom.models.questions import row_losses

        require_text(self.guard.task)
        with self._reading(progress, rows.num_rows) as advance:
            return row_losses(self._module, self._encoder.training(rows), advance=advance)

    def gradients(self, rows: pa.Table, *, progress: str | None = None) -> Iterator[HeadGradient]:
        """The head's gradient of each prepared row, in order."""
        from antivenom.models.questions import head_gradients

        require_text(self.guard.task)
        with self._reading(progress, rows.num_rows) as advance:
            yield from head_gradients(self._module, self._encoder.training(rows), advance=advance)

    def likelihood(self, texts: Sequence[str], *, window: int = 0, progress: str | None = None) -> Floats:
        """Log-likelihood (natural) per token of each bare text; shape (texts,)."""
        from antivenom.models.fluency import mean_likelihoods

        rows = [list(ids) for ids in self._encoder.renderer.bare(texts)]
        return mean_likelihoods(self._module, rows, window=window, progress=None if self._quiet else progress)

    def write(self, asked: Sequence[Asked], *, longest: int, progress: str | None = None) -> list[str]:
        """Continue each prompt greedily; the raw output, before the guard reads it."""
        return self._continued(self._encoder.serving(asked), longest, progress)

    def complete(self, texts: Sequence[str], *, longest: int, progress: str | None = None) -> list[str]:
        """Continue each bare text greedily, without the guard."""
        return self._continued([list(ids) for ids in self._encoder.renderer.bare(texts)], longest, progress)

    def _continued(self, prompts: Sequence[list[int]], longest: int, progress: str | None) -> list[str]:
        from antivenom.models.decoding import LocalGenerator

        renderer = self._encoder.renderer
        stops = sorted({renderer.ending[-1], renderer.tokenizer.eos_token_id} - {None})
        said = LocalGenerator(self._module, precision=self._scorer.precision).generate(
            prompts, stops=stops, longest=longest, progress=None if self._quiet else progress
        )
        return [renderer.text(one.tokens) for one in said]

    @property
    def _module(self) -> Any:
        return self._scorer.model

    @contextmanager
    def _reading(self, progress: str | None, total: int) -> Iterator[Advance]:
        """A bar, while the model computes in the precision that it scores and writes in."""
        from antivenom.models.precision import computing

        bar = progress_bar(None if self._quiet else progress, total=total, unit="row")
        with computing(self._module, self._scorer.precision), bar as advance:
            yield advance


def base_behind(
    guard: Guard, located: LocatedModel, bases: BaseStore, quiet: bool, precision: Precision = "auto"
) -> FittedModel:
    """The untouched base model behind a guard."""
    from antivenom.models.loading import load_codec, scorer

    modality = guard.task.frame.modality
    encoder = make_encoder(guard, load_codec(located.folder, modality, model=located.folder))
    return FittedModel(encoder, scorer(bases.adaptable(located, modality), encoder, precision), quiet)
