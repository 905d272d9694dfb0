"""Fine-tuning: transformers' Trainer over prepared rows, from untouched base model to saved artifact."""

from __future__ import annotations

import contextlib
import hashlib
import json
from pathlib import Path
from typing import Any

from antivenom.artifacts.artifact import WORK, Artifact, load_artifact, require_free, save_artifact
from antivenom.artifacts.manifest import MANIFEST, Manifest
from antivenom.core.claims import Claim, claim, claim_of, output_folder, release
from antivenom.core.errors import ArtifactError, MissingPackageError, OptionsError
from antivenom.core.files import make_folder, remove_tree
from antivenom.data.digests import digest_of_table
from antivenom.defenses import Prepared
from antivenom.guards.encoding import TextEncoder, make_encoder
from antivenom.models.base_model import LocatedModel, locate_model
from antivenom.tasks.task import Modality
from antivenom.training.training_options import TrainingOptions


def fit(
    prepared: Prepared,
    *,
    model: str,
    out: Path | str,
    options: TrainingOptions = TrainingOptions(),
    seed: int = 0,
    data: dict[str, Any] | None = None,
    quiet: bool = False,
) -> Artifact:
    """Fine-tune `model` on prepared rows and save the artifact.

    A run that was stopped, even by `kill -9`, goes on from its last checkpoint when it is called again with the same
    arguments, and ends with the same weights as an uninterrupted one.

    Args:
        prepared: What a defense returned.
        model: `smollm2`, a folder, or a hub name.
        out: The folder of the artifact; it must be new, empty, or an unfinished run of the same settings.
        options: The recipe; over rows that were chosen from more, see `TrainingOptions.over`.
        seed: Keys initialization, order and dropout.
        data: What to record in the manifest about the source of the rows.
        quiet: Show no progress bar.

    Raises:
        ArtifactError: `out` holds something else.
        OptionsError: the verbalizers cannot be told apart by this model's tokenizer.
    """
    _require_training_packages()
    if not 0 <= seed < 2**32:
        raise OptionsError(f"seed = {seed}", mend="It must be at least 0 and below 2^32.")
    _require_trainable(prepared.guard.task.frame.modality, options)
    out = Path(out)
    if claim_of(out) is None:
        require_free(out)
    located = locate_model(model)
    options = options.on(prepared)
    fingerprint = fingerprint_of(prepared, located, options, seed)
    with output_folder(out, "fit"):
        if _died_while_tidying(out, fingerprint):
            _tidy(out)
            return load_artifact(out)
        require_free(out)
        work = _claim(out, fingerprint)
        try:
            trained, tokenizer, facts = _train(prepared, located, options, seed, work, quiet)
        except OptionsError:
            _give_back(out)
            raise
        manifest = Manifest.describe(
            prepared.guard,
            reserve=prepared.facts,
            base_model=located.identity,
            training={**options.to_dict(), **facts},
            data={"prepared_sha256": digest_of_table(prepared.rows), **(data or {})},
            seed=seed,
        )
        artifact = save_artifact(out, trained, tokenizer, manifest)
        _tidy(out)
        return artifact


def _train(
    prepared: Prepared, located: LocatedModel, options: TrainingOptions, seed: int, work: Path, quiet: bool
) -> tuple[Any, Any, dict[str, Any]]:
    import torch
    from transformers import set_seed

    from antivenom.models.fused_lora import fused_lora
    from antivenom.models.loading import load_codec, load_model
    from antivenom.models.trunk import Trunk
    from antivenom.training.trainer import collate_with, collator_of, inputs_of, latest_checkpoint, make_trainer

    set_seed(seed)
    modality = prepared.guard.task.frame.modality
    codec = load_codec(located.folder, modality, model=located.folder)
    encoder = make_encoder(prepared.guard, codec)
    examples = encoder.training(prepared.rows)
    if not examples:
        raise OptionsError("there are no rows to train on", mend="Give a file with rows, or a defense that keeps some.")
    base = load_model(located.folder, modality)
    with contextlib.ExitStack() as stack:
        collator = collator_of(encoder.renderer, base)
        if options.top_layers is not None:
            trunk = Trunk.of(base, top=options.top_layers, identity=located.identity.sha256)
            trunk.prepare(inputs_of(examples), quiet=quiet)
            collator = collate_with(trunk)
            stack.enter_context(trunk.removed())
        trained = _with_lora(base, options, modality) if options.method == "lora" else base
        stack.enter_context(fused_lora(trained))
        trainer = make_trainer(trained, examples, options, seed=seed, work=work, quiet=quiet, collator=collator)
        result = trainer.train(resume_from_checkpoint=latest_checkpoint(work))
    if not torch.isfinite(torch.tensor(result.training_loss)):
        raise ArtifactError("training diverged: the loss is not finite", mend="Lower --learning-rate.")
    facts = {"steps": trainer.state.global_step, "device": str(trainer.args.device), "rows": len(examples)}
    if isinstance(encoder, TextEncoder):
        facts["answers_cut"] = sum(not encoder.is_whole(answer) for _, answer in examples)
    return trained, codec, facts


def _require_trainable(modality: Modality, options: TrainingOptions) -> None:
    if modality != "text" and options.top_layers is not None:
        raise OptionsError(
            f"top_layers = {options.top_layers} with modality = {modality!r}",
            mend="Leave it out: the frozen trunk is kept for texts alone.",
        )


def _with_lora(model: Any, options: TrainingOptions, modality: Modality = "text") -> Any:
    from peft import LoraConfig, get_peft_model

    from antivenom.models.local import quiet_libraries
    from antivenom.models.trunk import linear_names, lower_layers
    from antivenom.models.vision import language_modules

    modules: list[str] | str = list(options.modules) or "all-linear"
    adapted = None
    if modality != "text":
        modules = language_modules(model, options.modules)
    if options.top_layers is not None:
        modules = list(options.modules) or linear_names(model)
        lower = lower_layers(model, options.top_layers)
        adapted = list(range(lower, lower + options.top_layers))
    config = LoraConfig(
        r=options.rank,
        lora_alpha=options.alpha,
        lora_dropout=options.dropout,
        target_modules=modules,
        layers_to_transform=adapted,
        layers_pattern=None if adapted is None else "layers",
        task_type="CAUSAL_LM",
    )
    try:
        with quiet_libraries():
            return get_peft_model(model, config)
    except ValueError as error:
        raise OptionsError(f"modules = {list(options.modules)}: {error}") from None


def fingerprint_of(prepared: Prepared, located: LocatedModel, options: TrainingOptions, seed: int) -> str:
    """Digest of everything that decides the weights."""
    parts = [
        prepared.guard.to_dict(),
        digest_of_table(prepared.rows),
        prepared.rows.column("benign").to_pylist(),
        located.identity.to_dict(),
        options.to_dict(),
        seed,
    ]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _claim(out: Path, fingerprint: str) -> Path:
    """Make or find the work folder of exactly this run; the claim tells it from a folder of the user's."""
    claim(out, "fit", fingerprint)
    return make_folder(out / WORK)


def _give_back(out: Path) -> None:
    """Forget a run that was refused before its first checkpoint: the mended command must find the folder free."""
    if not any((out / WORK).iterdir()):
        _tidy(out)


def _tidy(out: Path) -> None:
    """Remove the checkpoints, then the claim, which says that they are ours."""
    remove_tree(out / WORK)
    release(out)


def _died_while_tidying(out: Path, fingerprint: str) -> bool:
    """Whether `out` is the finished artifact of this very run, killed before its checkpoints were removed."""
    return (out / MANIFEST).exists() and claim_of(out) == Claim("fit", fingerprint)


def _require_training_packages() -> None:
    from importlib.util import find_spec

    missing = [name for name in ("torch", "transformers", "peft", "accelerate") if find_spec(name) is None]
    if missing:
        raise MissingPackageError(f"training needs {', '.join(missing)}", mend="Run `pip install 'antivenom[train]'`.")
