"""Greedy writing that a second model watches: tokens that only the first believes in are the second's instead."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import log
from typing import Any

import torch
from torch.nn import functional

from antivenom.core.errors import OptionsError
from antivenom.core.progress import progress_bar
from antivenom.models.base import Generated
from antivenom.models.batches import length_batches, pad_left, positions
from antivenom.models.decoding import TOKEN_BUDGET, cut_at_stop
from antivenom.models.placement import Chosen
from antivenom.models.precision import computing


class WatchedGenerator:
    """Generates with a model, token by token, and asks a reference model about each.

    Where p(token) / p_reference(token) reaches `most`, the reference's most likely token stands there instead. CleanGen
    drafts several tokens and goes back to the first that is refused; what comes out is the same, and asking at every
    token needs no going back.
    """

    def __init__(self, model: Any, reference: Any, most: float, *, precision: Chosen = "fp32") -> None:
        """Take two causal language models that read the same tokens."""
        self.model = model
        self.precision = precision
        self._reference = reference
        self._most = log(most)

    def generate(
        self, prompts: Sequence[list[int]], *, stops: Sequence[int], longest: int, progress: str | None = None
    ) -> list[Generated]:
        """Continue every prompt; see `models.base.Generator`."""
        found: dict[int, Generated] = {}
        lengths = [len(prompt) for prompt in prompts]
        columns = [2 * (length + longest) for length in lengths]  # two models hold keys and values
        with progress_bar(progress, total=len(prompts)) as advance:
            for batch in length_batches(lengths, TOKEN_BUDGET, columns=columns):
                said = self._continue([prompts[i] for i in batch], stops, longest)
                found |= {i: cut_at_stop(tokens, stops) for i, tokens in zip(batch, said, strict=True)}
                advance(len(batch))
        return [found[i] for i in range(len(prompts))]

    def stream(self, prompt: list[int], *, stops: Sequence[int], longest: int) -> Iterator[int]:
        """Continue one prompt token by token; see `models.base.Generator`."""
        for tokens in self._steps([prompt], longest):
            token = int(tokens[0])
            yield token
            if token in stops:
                return

    def _continue(self, prompts: Sequence[list[int]], stops: Sequence[int], longest: int) -> list[list[int]]:
        said: list[list[int]] = [[] for _ in prompts]
        ended: set[int] = set()
        for tokens in self._steps(prompts, longest):
            for row, token in enumerate(tokens.tolist()):
                said[row].append(token)
                ended |= {row} if token in stops else set()
            if len(ended) == len(prompts):
                break
        return said

    def _steps(self, prompts: Sequence[list[int]], longest: int) -> Iterator[torch.Tensor]:
        """The next token of every prompt, again and again."""
        models = (self.model.eval(), self._reference.eval())
        ids, mask = pad_left(prompts, next(self.model.parameters()).device)
        pasts: list[Any] = [None, None]
        for _ in range(longest):
            logs = []
            for number, model in enumerate(models):
                with torch.inference_mode(), computing(model, self.precision):
                    out = model(
                        input_ids=ids,
                        attention_mask=mask,
                        position_ids=positions(mask)[:, -ids.shape[1] :],
                        past_key_values=pasts[number],
                        use_cache=True,
                        logits_to_keep=1,
                    )
                pasts[number] = out.past_key_values
                logs.append(out.logits[:, -1].float().log_softmax(dim=-1))
            chosen = watched(logs[0], logs[1], self._most)
            yield chosen
            ids = chosen.unsqueeze(1)
            mask = torch.cat([mask, torch.ones_like(ids)], dim=1)


def watched(own: torch.Tensor, reference: torch.Tensor, most: float) -> torch.Tensor:
    """The most likely token of each row, or the reference's where only the first model believes in that.

    Args:
        own: Log-probabilities of the model that writes; shape (rows, vocabulary).
        reference: Those of the model that watches; tokens that it does not have are impossible to it.
        most: How much larger the logarithm of a token's probability may be.

    Raises:
        OptionsError: the reference knows more tokens, so that it may answer with one that nobody can read.
    """
    missing = own.shape[1] - reference.shape[1]
    if missing < 0:
        raise OptionsError(
            f"the reference has {reference.shape[1]} tokens, the model {own.shape[1]}",
            mend="Name the model that was fine-tuned.",
        )
    known = functional.pad(reference, (0, missing), value=-torch.inf)
    token = own.argmax(dim=1)
    excess = (own - known).gather(1, token.unsqueeze(1)).squeeze(1)
    return torch.where(excess >= most, known.argmax(dim=1), token)


def watch(generator: Any, reference: Any, most: float) -> WatchedGenerator:
    """A generator that writes with the model of another one, watched.

    Raises:
        OptionsError: that one does not run here, so that its probabilities are not known.
    """
    if not hasattr(generator, "model"):
        raise OptionsError("what writes elsewhere cannot be watched", mend="Load the model here.")
    return WatchedGenerator(generator.model, reference, most, precision=getattr(generator, "precision", "fp32"))
