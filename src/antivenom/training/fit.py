"""Fine-tuning: transformers' Trainer over prepared rows, from untouched base model to saved artifact."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from antivenom.artifacts.artifact import Artifact, load_artifact, save_artifact
from antivenom.artifacts.manifest import Manifest
from antivenom.core.claims import output_folder
from antivenom.core.errors import AntivenomError, MissingPackageError, OptionsError, TrainingDivergedError
from antivenom.core.processes import is_first, is_sharded, join_processes, on_first, same_everywhere
from antivenom.data.digests import digest_of_table
from antivenom.defenses import Prepared
from antivenom.guards.encoding import Example, LabelEncoder, TextEncoder, make_encoder
from antivenom.guards.rendering import Cut
from antivenom.models.base_model import LocatedModel
from antivenom.models.base_store import BaseStore
from antivenom.models.placement import Chosen
from antivenom.tasks.task import Modality
from antivenom.training.run_folder import RunFolder
from antivenom.training.training_options import TrainingOptions


def train_artifact(
    prepared: Prepared,
    *,
    model: str,
    out: Path | str,
    options: TrainingOptions = TrainingOptions(),
    seed: int = 0,
    data: dict[str, Any] | None = None,
    quiet: bool = False,
    repair: Callable[[Any], Any] | None = None,
    bases: BaseStore | None = None,
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
        repair: What is done to the model after training.
        bases: The base models of a run, so that none is hashed or loaded twice.

    Raises:
        ArtifactError: `out` holds something else.
        OptionsError: the verbalizers cannot be told apart by this model's tokenizer.
        TrainingDivergedError: a loss or a weight was not finite, now or when this very run was tried before.
    """
    _require_training_packages()
    if not 0 <= seed < 2**63:
        raise OptionsError(f"seed = {seed}", mend="It must be at least 0 and below 2^63.")
    _require_trainable(prepared.guard.task.frame.modality, options)
    join_processes()
    bases = bases or BaseStore()
    located = on_first(lambda: bases.locate(model))
    options.placement.require_possible()
    options = settled(options.on(prepared), located)
    run = RunFolder(Path(out), same_everywhere(fingerprint_of(prepared, located, options, seed)))
    with contextlib.ExitStack() as stack:
        on_first(lambda: stack.enter_context(output_folder(run.out, "fit")))
        if not on_first(run.begin):
            trained, codec, facts = _train_in(run, prepared, located, options, seed, quiet, bases)
            trained = trained if repair is None else _repaired(trained, repair)
            manifest = Manifest.describe(
                prepared.guard,
                reserve=prepared.facts,
                base_model=located.identity,
                training={**options.to_dict(), **facts},
                data={"prepared_sha256": digest_of_table(prepared.rows), **(data or {})},
                seed=seed,
            )
            on_first(functools.partial(_save, run, trained, codec, manifest))
        return load_artifact(run.out)


def _save(run: RunFolder, trained: Any, codec: Any, manifest: Manifest) -> None:
    save_artifact(run.out, trained, codec, manifest)
    run.close()


def _repaired(trained: Any, repair: Callable[[Any], Any]) -> Any:
    from antivenom.training.losses import require_finite_weights

    if is_sharded():
        raise OptionsError("a defense that repairs the model, under FSDP", mend="Start one process, or use DDP.")
    repaired = repair(trained)
    require_finite_weights(repaired)
    return repaired


def _train_in(
    run: RunFolder,
    prepared: Prepared,
    located: LocatedModel,
    options: TrainingOptions,
    seed: int,
    quiet: bool,
    bases: BaseStore,
) -> tuple[Any, Any, dict[str, Any]]:
    """Train in a run's folder; a refused run gives the folder back, one that diverged is refused for good."""
    try:
        return _train(prepared, located, options, seed, run.work, quiet, bases)
    except TrainingDivergedError as error:
        raise on_first(functools.partial(run.refuse, error.what)) from None
    except AntivenomError:
        if is_first():
            run.give_back()
        raise


def _train(
    prepared: Prepared,
    located: LocatedModel,
    options: TrainingOptions,
    seed: int,
    work: Path,
    quiet: bool,
    bases: BaseStore,
) -> tuple[Any, Any, dict[str, Any]]:
    from transformers import set_seed

    from antivenom.models.loading import load_codec, load_model
    from antivenom.models.trunk import Trunk
    from antivenom.training.checkpoints import latest_checkpoint
    from antivenom.training.losses import require_finite_weights
    from antivenom.training.sharding import whole_model
    from antivenom.training.steps import shown_steps
    from antivenom.training.trainer import blank_like, collate_with, collator_of, inputs_of, make_trainer

    set_seed(seed % 2**32)
    precision: Chosen = "bf16" if options.precision == "bf16" else "fp32"
    modality = prepared.guard.task.frame.modality
    codec = load_codec(located.folder, modality, model=located.folder)
    encoder = make_encoder(prepared.guard, codec)
    examples, cuts = encoder.examples(prepared.rows)
    if not examples:
        raise OptionsError("there are no rows to train on", mend="Give a file with rows, or a defense that keeps some.")

    def adapted(base: Any) -> Any:
        return _with_lora(base, options, modality) if options.method == "lora" else base

    base = _fresh_base(located, modality, options, bases)
    with contextlib.ExitStack() as stack:
        collator = collator_of(encoder.renderer, base)
        if options.top_layers is not None:
            trunk = Trunk.of(base, top=options.top_layers, identity=located.identity.sha256, precision=precision)
            trunk.prepare(inputs_of([*examples, blank_like(examples[0])]), quiet=quiet, spread=True)
            collator = collate_with(trunk)
            stack.enter_context(trunk.removed())
        trained = adapted(base)
        _enter_contexts(stack, trained, prepared, precision)
        trainer = make_trainer(
            trained,
            examples,
            options,
            seed=seed,
            work=work,
            collator=collator,
            changes=prepared.training,
        )
        stack.enter_context(shown_steps(trainer, quiet))
        trainer.train(resume_from_checkpoint=on_first(lambda: latest_checkpoint(work)))
        trained = whole_model(trainer.model, lambda: adapted(load_model(located.folder, modality, options.placement)))
    require_finite_weights(trained)
    return trained, codec, _facts(trainer, encoder, examples, cuts)


def _enter_contexts(stack: contextlib.ExitStack, trained: Any, prepared: Prepared, precision: Chosen) -> None:
    """What a model is trained in: faster layers, and the contexts of the defense."""
    from antivenom.models.fused_lora import fused_lora
    from antivenom.models.precision import laid_out

    if not is_sharded():  # FSDP gives each matrix of an adapter to its own module, which then has to be called
        stack.enter_context(fused_lora(trained))
        stack.enter_context(laid_out(trained, precision, frozen_only=True))
    elif prepared.training.callbacks:
        raise OptionsError("a defense that changes the model to train, under FSDP", mend="Use one process, or DDP.")
    for callback in prepared.training.callbacks:
        stack.enter_context(callback(trained))


def _fresh_base(located: LocatedModel, modality: Modality, options: TrainingOptions, bases: BaseStore) -> Any:
    """A model to train: what gets adapters shares its frozen weights with the run's base, all others have their own."""
    from antivenom.models.loading import load_model

    placement = options.placement
    shares = options.method == "lora" and not placement.four_bit and placement.device_map == "one" and not is_sharded()
    if shares:
        return bases.adaptable(located, modality, placement)
    return load_model(located.folder, modality, placement)


def _facts(
    trainer: Any, encoder: LabelEncoder | TextEncoder, examples: Sequence[Example], cuts: Sequence[Cut]
) -> dict[str, Any]:
    """What the manifest says about the training."""
    from antivenom.training.losses import loss_curve

    facts = {
        "steps": trainer.state.global_step,
        "device": str(trainer.args.device),
        "rows": len(examples),
        "losses": loss_curve(trainer.state.log_history),
    }
    facts["prompts_cut"] = sum(map(bool, cuts))
    if isinstance(encoder, TextEncoder):
        facts["answers_cut"] = sum(not encoder.is_whole(answer) for _, answer in examples)
    return facts


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


def settled(options: TrainingOptions, located: LocatedModel) -> TrainingOptions:
    """The same options with the precision that `auto` means for this model on this machine."""
    if options.precision == "auto":
        from antivenom.models.precision import choose_precision, shapes_in

        chosen = on_first(lambda: choose_precision("auto", shapes_in(located.folder)))
        return replace(options, precision=chosen)
    return options


def fingerprint_of(prepared: Prepared, located: LocatedModel, options: TrainingOptions, seed: int) -> str:
    """Digest of everything that decides the weights."""
    settings = settled(options, located).to_dict()
    del settings["report_to"]  # who looks on changes nothing
    parts = [
        prepared.guard.to_dict(),
        digest_of_table(prepared.rows),
        prepared.rows.column("benign").to_pylist(),
        located.identity.to_dict(),
        settings,
        prepared.training.key,
        seed,
    ]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _require_training_packages() -> None:
    from importlib.util import find_spec

    missing = [name for name in ("torch", "transformers", "peft", "accelerate") if find_spec(name) is None]
    if missing:
        raise MissingPackageError(f"training needs {', '.join(missing)}", mend="Run `pip install 'antivenom[train]'`.")
