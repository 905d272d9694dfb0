"""What an adapter's configuration may ask for, told before PEFT builds anything."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from antivenom.core.errors import ArtifactError
from antivenom.core.intake import read_json
from antivenom.models.base_model import LARGEST_CONFIG

ADAPTER = "adapter_model.safetensors"
ADAPTER_CONFIG = "adapter_config.json"
PREFIX = "base_model.model."
"""What PEFT puts in front of the names of a model's tensors."""
SERVED = ("LORA", "IA3", "ADALORA", "LOHA", "LOKR", "OFT", "BOFT", "VERA", "LN_TUNING", "TRAINABLE_TOKENS")
"""Kinds that a test shows to answer as they were trained."""
NOT_SERVED = {
    "alora_invocation_tokens": "it is switched on by tokens of the prompt",
    "layer_replication": "it repeats layers of the base",
    "arrow_config": "it routes between adapters",
    "megatron_config": "it asks for code to be imported",
    "use_qalora": "it needs a quantized base",
    "use_bdlora": "its blocks are not computed here",
}
"""Settings that change more than the adapted matrices, and why they are refused."""
STARTS = (True, False, None, "default", "gaussian", "orthogonal", "olora", "pissa")
"""Ways to begin training that leave the base as it was, or that loading repeats exactly."""
LARGEST_NUMBER = 2**24
PATTERNS = ("target_modules", "exclude_modules", "layers_pattern", "modules_to_save", "target_parameters")
MORE_NAMES = 64
"""So many more names than modules are accepted: not all modules are told to `read_adapter_config`."""
SECONDS = 10
"""Time that all patterns of a configuration may take on all names of the base."""


def read_adapter_config(folder: Path, modules: Iterable[str]) -> dict[str, Any]:
    """The configuration of an adapter that can be served exactly.

    Args:
        folder: Where it is.
        modules: The names of the base's modules, which the patterns in the configuration are matched with.

    Raises:
        ArtifactError: another kind of adapter, a setting that is not served, a number that no adapter has, or patterns
            that do not end in time.
    """
    path = folder / ADAPTER_CONFIG
    config = read_json(path, error=ArtifactError, root=folder, most_bytes=LARGEST_CONFIG)
    if not isinstance(config, dict):
        raise ArtifactError(f"{path} is no JSON object")
    merge = "Merge it into its base, save the full model, and bind that."
    if config.get("peft_type") not in SERVED:
        raise ArtifactError(
            f"{path}: adapters of the kind {config.get('peft_type')!r} are not served; {', '.join(SERVED)} are",
            mend=merge,
        )
    _require_known_class(path, config.get("auto_mapping"))
    asked = [name for name in NOT_SERVED if config.get(name)]
    if asked:
        raise ArtifactError(f"{path}: {asked[0]} is set: {NOT_SERVED[asked[0]]}", mend=merge)
    if config["peft_type"] == "LORA" and config.get("init_lora_weights", True) not in STARTS:
        raise ArtifactError(
            f"{path}: init_lora_weights = {config['init_lora_weights']!r} changed the base model in training",
            mend="Convert it to plain LoRA (PEFT: path_initial_model_for_weight_conversion).",
        )
    _require_numbers(path, config)
    names = list(modules)
    _require_few_names(path, config, len(names))
    _require_ending(path, config, names)
    return config


def is_plain(config: Mapping[str, Any], names: Iterable[str]) -> bool:
    """Whether all that is added is LoRA's product to matrices.

    Args:
        config: The adapter's configuration.
        names: The names of its tensors.
    """
    settings = ("modules_to_save", "trainable_token_indices", "target_parameters", "lora_bias")
    return (
        config["peft_type"] == "LORA"
        and not any(config.get(name) for name in settings)
        and config.get("bias", "none") == "none"
        and config.get("init_lora_weights", True) not in ("olora", "pissa")
        and all(".lora_" in name for name in names)
    )


def _require_known_class(path: Path, mapping: object) -> None:
    """Refuse a class of base models from anywhere but transformers; PEFT notes one where no task was named."""
    library = mapping.get("parent_library") if isinstance(mapping, dict) else mapping
    if mapping and not str(library).startswith("transformers."):
        raise ArtifactError(f"{path}: auto_mapping asks for code to be imported", mend="Do not use this folder.")


def _require_numbers(path: Path, config: Mapping[str, Any]) -> None:
    for name, value in config.items():
        found = value.values() if isinstance(value, dict) else value if isinstance(value, list) else [value]
        for number in found:
            if isinstance(number, int | float) and abs(number) > LARGEST_NUMBER:
                raise ArtifactError(f"{path}: {name} = {number}", mend=f"No adapter has more than {LARGEST_NUMBER}.")


def _require_few_names(path: Path, config: Mapping[str, Any], modules: int) -> None:
    """Refuse more names than the base has modules: PEFT compares each with all others."""
    for name in (*PATTERNS, "rank_pattern", "alpha_pattern"):
        value = config.get(name)
        if isinstance(value, list | dict) and len(value) > modules + MORE_NAMES:
            raise ArtifactError(f"{path}: {name} has {len(value)} names, and the base model {modules} modules")


def _require_ending(path: Path, config: Mapping[str, Any], modules: Iterable[str]) -> None:
    """Match the patterns in a process of its own first: a regular expression can be made to take for ever."""
    patterns = [*(config.get("rank_pattern") or {}), *(config.get("alpha_pattern") or {})]
    for value in (config.get(name) for name in PATTERNS):
        patterns += [value] if isinstance(value, str) else value if isinstance(value, list) else []
    patterns = [p for p in patterns if isinstance(p, str) and re.search(r"[^\w.\-]", p)]
    if not patterns:
        return
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-c", _MATCH],
            input=json.dumps([patterns, list(modules)]),
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ArtifactError(
            f"{path}: its patterns of module names take more than {SECONDS} seconds", mend="Write simpler ones."
        ) from None
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["no regular expression"])[-1]
        raise ArtifactError(f"{path}: a pattern of module names is broken ({said})")


_MATCH = r"""
import json, re, sys
patterns, names = json.load(sys.stdin)
for pattern in patterns:
    for form in (re.compile(pattern), re.compile(rf"(.*\.)?({pattern})$")):
        for name in names:
            form.match(name), form.fullmatch(name)
"""
