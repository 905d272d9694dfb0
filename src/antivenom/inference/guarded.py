"""Use an artifact: guard.wrap -> model -> guard.read, the same three steps for a number and for a service."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from antivenom.artifacts.artifact import Artifact, load_artifact
from antivenom.core.errors import ArtifactError
from antivenom.data.query import Asked, require_several
from antivenom.guards.answers import TextReading
from antivenom.guards.encoding import LabelEncoder, TextEncoder, make_encoder
from antivenom.guards.labels import ChoiceScores, Reading
from antivenom.guards.rendering import Cut
from antivenom.inference.chunks import in_chunks
from antivenom.inference.fitted import FittedModel
from antivenom.inference.steps import InputSteps
from antivenom.inference.writing import GuardedWriter, OnEscape
from antivenom.models.adapter_files import ADAPTER
from antivenom.models.base import Model
from antivenom.models.base_model import LocatedModel
from antivenom.models.base_store import BaseStore
from antivenom.tasks.task import Modality

STREAM_TEXTS = 512
"""Texts that a stream of predictions reads together: enough to group like lengths."""


OPENINGS = ("a", "The", "9", "\u4e0d")
"""Texts that begin differently: what their prompts share, all prompts do."""


class GuardedModel:
    """A model behind its guard: texts in, readings out. No way leads around the guard."""

    def __init__(self, encoder: LabelEncoder, model: Model) -> None:
        """Join an encoder (guard and tokenizer) with whatever scores its prompts."""
        self.encoder = encoder
        self.guard = encoder.guard
        self.model = model
        self._steps = InputSteps(encoder.guard)

    def score(self, asked: Sequence[Asked], *, progress: str | None = None) -> ChoiceScores:
        """Scores of every choice for every text or query, in order, purified and watched as the guard says."""
        return self._answer(asked, progress)[0]

    def expect_requests(self) -> None:
        """Get ready for many small calls: what all prompts begin with is read once, now, and kept."""
        from antivenom.models.local import LocalModel
        from antivenom.models.sharing import shared_prefix

        if isinstance(self.model, LocalModel):
            prompts = self.encoder.serving(OPENINGS)
            self.model.expect(prompts[0][: shared_prefix(prompts)])

    def cuts(self, asked: Sequence[Asked]) -> list[Cut]:
        """What is left out of the prompt of every text or query to keep it within the longest prompt."""
        return self.encoder.served(asked).cuts

    def predict(self, asked: Sequence[Asked], *, progress: str | None = None) -> list[Reading]:
        """Answer texts: the label, its probability, the mass that escaped the allowed label space, what was cut."""
        scores, cuts = self._answer(asked, progress)
        readings = self.guard.read(scores)
        return [replace(reading, cut=bool(cut)) for reading, cut in zip(readings, cuts, strict=True)]

    def _answer(self, asked: Sequence[Asked], progress: str | None) -> tuple[ChoiceScores, list[Cut]]:
        require_several(asked)
        fitted = FittedModel(self.encoder, self.model, quiet=True)
        purified = self._steps.purify(asked, fitted)
        prompts, cuts = self.encoder.served(purified)
        scores = self.model.score(prompts, self.encoder.choices, progress=progress)
        return self._steps.watch(purified, scores, fitted), cuts

    def predict_stream(
        self, texts: Iterable[Asked], *, progress: str | None = None, total: int | None = None
    ) -> Iterator[tuple[Asked, Reading]]:
        """Answer any number of texts in order and in bounded memory; see `rows.iterate_texts` for those of a file.

        Args:
            texts: May be endless; they are taken a few hundred at a time.
            progress: What a progress bar is to be called; none is shown without it.
            total: How many texts there are, if that is known, for the bar.
        """
        return in_chunks(texts, self.predict, STREAM_TEXTS, progress=progress, total=total)


def load_guarded(
    artifact: Artifact | Path | str,
    *,
    on_escape: OnEscape = "report",
    top_layers: int | None = None,
    model: str | None = None,
    store: BaseStore | None = None,
) -> GuardedModel | GuardedWriter:
    """Verify an artifact and load it with its base model.

    Args:
        artifact: The artifact, or its folder.
        on_escape: What a client gets when a free answer lacks its prefix.
        top_layers: Where the adapters lie in so many of the last layers alone: labels are scored on the kept states of
            the layers below (`models.trunk_model`): the same numbers to rounding. For rows that several fits read
            (training and test rows), never for a client's texts.
        model: Where the base model is, if not where it was when the artifact was made.
        store: The base models of a run, so that none is hashed or loaded twice; its weights stay what they are.

    Returns:
        A model that answers with labels, or one that writes free text, as the artifact's task has it.

    Raises:
        ArtifactError: something does not match the manifest, the weights are not whole or not finite, or `top_layers`
            is given and layers below were trained.
    """
    from antivenom.models.decoding import LocalGenerator
    from antivenom.models.loading import load_codec, scorer
    from antivenom.models.precision import scoring_precision

    artifact = artifact if isinstance(artifact, Artifact) else load_artifact(artifact)
    store = store or BaseStore()
    located = artifact.verify(model=model, store=store)
    modality = artifact.guard.task.frame.modality
    encoder = make_encoder(artifact.guard, load_codec(artifact.folder, modality, model=located.folder))
    weights = trained_weights(artifact.folder, located, modality, store)
    precision = scoring_precision(artifact.manifest.training.get("precision"), located.folder)
    if isinstance(encoder, TextEncoder):
        writer = LocalGenerator(weights, precision=precision)
        return GuardedWriter(
            encoder, writer, on_escape=on_escape, base=lambda: store.adaptable(located, modality).eval()
        )
    if top_layers is not None:
        from antivenom.models.trained import require_above
        from antivenom.models.trunk import Trunk, lower_layers
        from antivenom.models.trunk_model import TrunkModel

        require_above(artifact.folder, lower_layers(weights, top_layers))
        trunk = Trunk.of(weights, top=top_layers, identity=located.identity.sha256, precision=precision)
        return GuardedModel(encoder, TrunkModel(trunk))
    return GuardedModel(encoder, scorer(weights, encoder, precision))


def trained_weights(
    folder: Path, base: LocatedModel, modality: Modality, store: BaseStore, *, trainable: bool = False
) -> Any:
    """The model of a folder of trained weights: the base with its adapter, or full weights.

    Args:
        folder: What a trainer wrote.
        base: The model that it was trained on.
        modality: What the task asks about.
        store: Where the base model comes from.
        trainable: Whether it is to be trained further: an adapter then stays one.

    Raises:
        ArtifactError: the weights are not whole, not finite, or of a kind that cannot be served exactly.
    """
    from antivenom.models.adapters import load_adapter
    from antivenom.models.loading import load_model

    if not (folder / ADAPTER).exists():
        return load_model(folder, modality)
    return load_adapter(store.adaptable(base, modality), folder, trainable=trainable)


def predict(artifact: Artifact | Path | str, texts: Sequence[Asked]) -> list[Reading] | list[TextReading]:
    """Load an artifact and answer texts: `load_guarded(artifact).predict(texts)`."""
    return load_guarded(artifact).predict(texts)


def merged_weights(folder: Path, base_folder: Path, modality: Modality) -> Any:
    """The model of an artifact as one plain model, its adapter merged into the base: what can be saved and exported.

    Args:
        folder: The artifact's folder.
        base_folder: Where its base model is.
        modality: What the task asks about.

    Raises:
        ArtifactError: the weights cannot be loaded, or merging would not give what was trained.
    """
    from antivenom.models.adapters import is_merged

    store = BaseStore()
    model = trained_weights(folder, store.locate(str(base_folder)), modality, store)
    if not is_merged(model):
        raise ArtifactError(
            f"{folder}: merging this adapter would not give what was trained", mend="Export the adapter instead."
        )
    return model
