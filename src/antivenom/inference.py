"""Use an artifact: guard.wrap -> model -> guard.read, the same three steps for a number and for a service."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from antivenom.artifact import WEIGHTS, Artifact, load_artifact
from antivenom.encoding import Encoder, make_encoder
from antivenom.errors import ArtifactError
from antivenom.labels import ChoiceScores, Reading
from antivenom.models.base import Model


class GuardedModel:
    """A model behind its guard: texts in, readings out. No way leads around the guard."""

    def __init__(self, encoder: Encoder, model: Model) -> None:
        """Join an encoder (guard and tokenizer) with whatever scores its prompts."""
        self.encoder = encoder
        self.guard = encoder.guard
        self._model = model

    def score(self, texts: Sequence[str], *, progress: str | None = None) -> ChoiceScores:
        """Scores of every choice for every text, in order."""
        return self._model.score(self.encoder.serving(texts), self.encoder.choices, progress=progress)

    def predict(self, texts: Sequence[str], *, progress: str | None = None) -> list[Reading]:
        """Answer texts: the label, its probability, and the mass that escaped the allowed label space."""
        return self.guard.read(self.score(texts, progress=progress))


def load_guarded(artifact: Artifact | Path | str) -> GuardedModel:
    """Verify an artifact and load it with its base model.

    Raises:
        ArtifactError: something does not match the manifest.
    """
    from antivenom.models.local import LocalModel, load_tokenizer

    artifact = artifact if isinstance(artifact, Artifact) else load_artifact(artifact)
    base_folder = artifact.verify().folder
    encoder = make_encoder(artifact.guard, load_tokenizer(artifact.folder))
    return GuardedModel(encoder, LocalModel(_weights(artifact.folder, base_folder)))


def _weights(folder: Path, base_folder: Path) -> Any:
    from antivenom.models.local import load_causal_lm

    if not (folder / WEIGHTS[0]).exists():
        return load_causal_lm(folder)
    from peft import PeftModel

    try:
        adapted = PeftModel.from_pretrained(load_causal_lm(base_folder), str(folder), use_safetensors=True)
        # Merged weights give the same scores (to rounding) without the adapter's extra multiplications.
        return adapted.merge_and_unload()
    except (ValueError, KeyError, TypeError, RuntimeError, OSError) as error:
        raise ArtifactError(f"{folder}: PEFT cannot load the adapter ({str(error).splitlines()[0]})") from None
