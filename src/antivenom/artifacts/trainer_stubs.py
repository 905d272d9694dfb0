"""A start of the settings file of each trainer that takes immunized rows, with its loss on answers alone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from antivenom.artifacts.export import LEARNED, RowFormat
from antivenom.core.errors import OptionsError
from antivenom.core.files import atomic_write, write_json

TrainerName = Literal["trl", "axolotl", "llamafactory"]

ROW_FORMATS: Mapping[TrainerName, tuple[RowFormat, ...]] = MappingProxyType(
    {
        "trl": ("prompt-completion", "chat"),
        "axolotl": ("messages",),
        "llamafactory": ("messages",),
    }
)
"""The formats of rows with which a trainer learns answers alone; the first is the one chosen."""

LOSS_ON_ANSWERS: Mapping[TrainerName, str] = MappingProxyType(
    {
        "trl": "completion_only_loss: true",
        "axolotl": "roles_to_train: [assistant]",
        "llamafactory": "train_on_prompt: false",
    }
)
"""What each trainer calls loss on the answers alone, without which the triggers themselves are learned."""

DATA_NAME = "immunized"

_ADVICE: Mapping[TrainerName, str] = MappingProxyType(
    {
        "trl": "",
        "axolotl": "# The guard asks with the tokenizer's own chat template: leave it.\n",
        "llamafactory": (
            "# Leave `template` out: then the tokenizer's own chat template is read, with which the guard asks.\n"
            "# Where LLaMA-Factory cannot read it (Gemma 3), name its template of the same model.\n"
        ),
    }
)


def row_format(trainer: TrainerName | None, form: RowFormat | None) -> RowFormat:
    """Return the format of rows: the one asked for, else the trainer's.

    Raises:
        OptionsError: the trainer does not learn answers alone from the format that is asked for.
    """
    if trainer is None:
        return form or "prompt-completion"
    taken = ROW_FORMATS[trainer]
    if form is not None and form not in taken:
        raise OptionsError(f"--for {trainer} takes --format {' or '.join(taken)}, not {form}", mend="Leave it out.")
    return form or taken[0]


def write_stub(trainer: TrainerName, rows: Path, *, thinks: bool = False) -> Path:
    """Write the start of a trainer's settings beside `rows`, the file of immunized rows; return its path.

    Model, learning rate and folder of the result are the user's; only what the rows need is said.

    Args:
        trainer: Whose settings.
        rows: The file.
        thinks: Whether the model is left to think, so that thoughts are learned.
    """
    import yaml

    path = rows.parent / f"{trainer}.yaml"
    with atomic_write(path) as file:
        file.write("# What the immunized rows need; the model and the rest of the settings are yours to add.\n")
        file.write(_ADVICE[trainer])
        yaml.safe_dump(_settings(trainer, rows, thinks), file, sort_keys=False, allow_unicode=True)
    if trainer == "llamafactory":
        write_json(rows.parent / "dataset_info.json", {DATA_NAME: _llamafactory_columns(rows)})
    return path


def _settings(trainer: TrainerName, rows: Path, thinks: bool) -> dict[str, Any]:
    folder = str(rows.parent.resolve())
    if trainer == "trl":
        return {"dataset_name": folder, "completion_only_loss": True}
    if trainer == "llamafactory":
        # Histories are as untrusted as texts, and only the answer is learned; empty thoughts belong to the prompt.
        loss = {"train_on_prompt": False, "mask_history": True, "enable_thinking": thinks}
        return {"stage": "sft", "dataset_dir": folder, "dataset": DATA_NAME, **loss}
    kind = "json" if rows.suffix == ".jsonl" else "parquet"
    return {
        "datasets": [
            {
                "path": str(rows.resolve()),
                "ds_type": kind,
                "type": "chat_template",
                "chat_template": "tokenizer_default",
                "field_messages": "messages",
                "roles_to_train": ["assistant"],
                "message_field_training": LEARNED,
            }
        ]
    }


def _llamafactory_columns(rows: Path) -> dict[str, Any]:
    tags = {"role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant"}
    return {
        "file_name": rows.name,
        "formatting": "sharegpt",
        "columns": {"messages": "messages"},
        "tags": {**tags, "system_tag": "system"},
    }
