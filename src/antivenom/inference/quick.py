"""A few texts through the guard without torch: the same three steps, for models that numpy computes in time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from antivenom.artifacts.artifact import Artifact
from antivenom.data.query import Asked
from antivenom.guards.encoding import TextEncoder, make_encoder
from antivenom.guards.labels import Reading
from antivenom.models.plain_llama import load_plain
from antivenom.models.tokenizer import load_tokenizer

FEW = 8
"""So many texts are answered here; for more it is worth while to load torch."""


def quick_answers(artifact: Artifact, asked: Sequence[Asked], *, model: str | None = None) -> list[Reading] | None:
    """Verify an artifact and answer a few texts: `load_guarded(artifact).predict(asked)`, to rounding.

    Args:
        artifact: The artifact.
        asked: The texts.
        model: Where the base model is, if not where it was when the artifact was made.

    Returns:
        The answers; None where there are many texts, or the guard or the model is not of the plain kind.

    Raises:
        ArtifactError: something does not match the manifest.
    """
    guard = artifact.guard
    plain = guard.task.classes is not None and guard.task.frame.modality == "text"
    if not plain or guard.purifiers or guard.monitors or not 0 < len(asked) <= FEW:
        return None
    located = artifact.verify(model=model)
    computed = load_plain(located.folder, artifact.folder)
    if computed is None:
        return None
    encoder = make_encoder(guard, load_tokenizer(artifact.folder))
    assert not isinstance(encoder, TextEncoder)
    prompts, cuts = encoder.served(asked)
    readings = guard.read(computed.score(prompts, encoder.choices))
    return [replace(reading, cut=bool(cut)) for reading, cut in zip(readings, cuts, strict=True)]
