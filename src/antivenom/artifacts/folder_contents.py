"""What lies in an artifact's folder: what is loaded, what trainers leave there, and what may not be there."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from antivenom.core.errors import ArtifactError
from antivenom.core.file_digests import digest_of_digests, file_digest
from antivenom.core.intake import read_json, require_regular
from antivenom.models.adapter_files import ADAPTER, ADAPTER_CONFIG
from antivenom.models.base_model import LARGEST_CONFIG, weight_files
from antivenom.models.codec_files import codec_files

WORK = "work"
"""Folder inside a run that holds its checkpoints; it is removed when the artifact is complete."""
CAN_RUN_CODE = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".py", ".so")
LEFT_BY_TRAINERS = re.compile(
    r"(checkpoints?([_\-]\w+)?|global_step\d+|runs|wandb|logs|optimizer_\d+|pytorch_model_fsdp_\d+)/.*"
    r"|training_args\.bin|zero_to_fp32\.py"
    r"|(optimizer|scheduler|scaler|sampler|rng_state|random_states|custom_checkpoint)[\w.\-]*\.(bin|pt|pth|pkl)"
)
"""Paths that transformers, TRL, accelerate and DeepSpeed leave beside a model; nothing here ever reads them."""
CODE_KEYS = ("auto_map", "trust_remote_code", "megatron_config")
"""Settings with which transformers or PEFT import modules that the folder names."""
SHOWN = 10


def trained_files(folder: Path) -> dict[str, Path]:
    """The files of the weights: an adapter with its configuration, or full weights with theirs.

    Raises:
        ArtifactError: there are no safetensors weights, or one of the files is not regular.
    """
    if (folder / ADAPTER).exists() or (folder / ADAPTER_CONFIG).exists():
        return {name: require_regular(folder / name, error=ArtifactError) for name in (ADAPTER, ADAPTER_CONFIG)}
    return weight_files(folder)


def tokenizer_files(folder: Path) -> dict[str, Path]:
    """The files of the tokenizer or processor.

    Raises:
        ArtifactError: there are none, or one of them is not regular.
    """
    if not folder.is_dir():
        raise ArtifactError(f"there is no folder {folder}", mend="Name the folder that your trainer wrote.")
    found = codec_files(folder)
    if not any(name.startswith("tokenizer") for name in found):
        raise ArtifactError(f"{folder} holds no tokenizer", mend="Save it there: tokenizer.save_pretrained(folder).")
    return found


def digest_of(files: dict[str, Path]) -> str:
    """SHA-256 over the names and bytes of files."""
    return digest_of_digests({name: file_digest(path, error=ArtifactError) for name, path in files.items()})


def left_by_trainers(folder: Path) -> list[str]:
    """Files that a trainer left and that could run code if anybody loaded them; nothing here does."""
    return [name for name in _walk(folder) if name.endswith(CAN_RUN_CODE) and LEFT_BY_TRAINERS.fullmatch(name)]


def require_harmless(folder: Path) -> None:
    """Refuse files that can run code when they are loaded, except those that trainers are known to leave.

    Raises:
        ArtifactError: names them all (the first ten).
    """
    # The checkpoints of our own fit are still there while it seals the folder; loading never looks at them.
    own = f"{WORK}/"
    found = [
        name
        for name in _walk(folder)
        if name.endswith(CAN_RUN_CODE) and not name.startswith(own) and not LEFT_BY_TRAINERS.fullmatch(name)
    ]
    if found:
        more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
        raise ArtifactError(
            f"{folder}: what can run code when it is loaded does not belong in an artifact: "
            f"{', '.join(found[:SHOWN])}{more}",
            mend="Delete these if you know where they came from, or let `finish --out` copy what is needed.",
        )


def require_no_foreign_code(folder: Path) -> None:
    """Refuse configurations that name code to import, even where today's loaders would not follow them.

    Raises:
        ArtifactError: names the file and the setting.
    """
    for path in sorted(folder.glob("*config*.json")):
        config = read_json(path, error=ArtifactError, most_bytes=LARGEST_CONFIG)
        # A processor's configuration holds those of its parts.
        parts = [config, *config.values()] if isinstance(config, dict) else []
        asked = [key for part in parts if isinstance(part, dict) for key in CODE_KEYS if part.get(key)]
        asked += [key for key in ("auto_mapping",) if _names_foreign_class(config, key)]
        if asked:
            raise ArtifactError(
                f"{path} asks for code to be imported ({asked[0]})",
                mend="Artifacts hold no code. Do not use this folder unless you know where it came from.",
            )


def _names_foreign_class(config: object, key: str) -> bool:
    """PEFT notes the class of the base model where no task was named; only those of transformers are accepted."""
    mapping = config.get(key) if isinstance(config, dict) else None
    library = mapping.get("parent_library") if isinstance(mapping, dict) else mapping
    return bool(mapping) and not str(library).startswith("transformers.")


def _walk(folder: Path) -> Iterator[str]:
    for place, folders, names in os.walk(folder):
        folders.sort()
        yield from (Path(place, name).relative_to(folder).as_posix() for name in sorted(names))
