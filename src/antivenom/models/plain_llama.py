"""A small Llama with plain LoRA, computed by numpy: what transformers and PEFT give, without the seconds to load them.

One answer of the embedded model is a third of a second of arithmetic. torch, transformers and PEFT take five to import.
So a few texts are scored here where everything about the model is plain: the architecture `llama` with the usual
rotations, weights of 32 bits in one file, and LoRA's products on linear layers. Whatever is not, is left to
`models.adapters` (`load_plain` gives nothing), which also says what is wrong with weights that are not whole.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from antivenom.core.errors import ArtifactError
from antivenom.core.intake import foreign, require_regular
from antivenom.guards.labels import ChoiceScores
from antivenom.models.adapter_files import ADAPTER, PREFIX, is_plain, read_adapter_config
from antivenom.models.base_model import CONFIG, read_config

WEIGHTS = "model.safetensors"
LARGEST = 2 * 2**30
"""Bytes of weights; larger models are worth the loading of torch, which may have a GPU."""
LINEAR = {
    "self_attn": ("q_proj", "k_proj", "v_proj", "o_proj"),
    "mlp": ("gate_proj", "up_proj", "down_proj"),
}
USUAL = {"hidden_act": "silu", "attention_bias": False, "mlp_bias": False, "pretraining_tp": 1}
"""Settings of a Llama that are computed here."""
PLAIN_LORA = (
    *("base_model_name_or_path", "bias", "inference_mode", "init_lora_weights", "lora_alpha", "lora_dropout"),
    *("megatron_core", "peft_type", "peft_version", "qalora_group_size", "r", "revision", "target_modules"),
    *("task_type", "layers_to_transform", "layers_pattern"),
)
"""Settings of an adapter that may be set."""

Floats32 = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Low:
    """LoRA's product beside a matrix: `scale * (x A^T) B^T`."""

    a: Floats32
    """Shape (rank, inputs)."""
    b: Floats32
    """Shape (outputs, rank)."""
    scale: float


@dataclass(frozen=True)
class PlainLlama:
    """A Llama that scores choices; see the module."""

    config: Mapping[str, Any]
    weights: Mapping[str, Floats32]
    low: Mapping[str, Low]

    def score(self, prompts: Sequence[list[int]], choices: Sequence[tuple[int, ...]]) -> ChoiceScores:
        """Log-probabilities of every choice behind every prompt, as `models.base.Model.score` gives them."""
        scores = np.zeros((len(prompts), len(choices)))
        other = np.zeros(len(prompts), dtype=bool)
        for row, prompt in enumerate(prompts):
            root = self.after(prompt)
            other[row] = root.max() > max(root[choice[0]] for choice in choices)
            for prefix in sorted({choice[:depth] for choice in choices for depth in range(len(choice))}):
                logs = root if not prefix else self.after([*prompt, *prefix])
                for column, choice in enumerate(choices):
                    if len(choice) > len(prefix) and choice[: len(prefix)] == prefix:
                        scores[row, column] += logs[choice[len(prefix)]]
        return ChoiceScores(scores, other)

    def after(self, tokens: Sequence[int]) -> Floats32:
        """Log-probabilities of the token behind these; shape (vocabulary,)."""
        epsilon = self.config["rms_norm_eps"]
        states = self.weights["model.embed_tokens.weight"][list(tokens)]
        turns = _turns(len(tokens), self._head, self.config["rope_parameters"]["rope_theta"])
        for layer in range(self.config["num_hidden_layers"]):
            at = f"model.layers.{layer}"
            read = _normal(states, self.weights[f"{at}.input_layernorm.weight"], epsilon)
            states = states + self._attend(f"{at}.self_attn", read, turns)
            read = _normal(states, self.weights[f"{at}.post_attention_layernorm.weight"], epsilon)
            gate = self._linear(f"{at}.mlp.gate_proj", read)
            silu = gate * (1 + np.tanh(gate / 2)) / 2  # gate / (1 + exp(-gate)), which overflows
            inner = silu * self._linear(f"{at}.mlp.up_proj", read)
            states = states + self._linear(f"{at}.mlp.down_proj", inner)
        last = _normal(states[-1], self.weights["model.norm.weight"], epsilon)
        tied = self.config["tie_word_embeddings"]
        logits = self.weights["model.embed_tokens.weight" if tied else "lm_head.weight"] @ last
        shifted = logits - logits.max()
        return np.asarray(shifted - np.log(np.exp(shifted).sum()), dtype=np.float32)

    def _attend(self, at: str, states: Floats32, turns: tuple[Floats32, Floats32]) -> Floats32:
        """Causal attention in which several heads share keys and values."""
        length, heads, shared = len(states), self.config["num_attention_heads"], self.config["num_key_value_heads"]
        asks = _turned(self._linear(f"{at}.q_proj", states).reshape(length, heads, self._head), turns)
        keys = _turned(self._linear(f"{at}.k_proj", states).reshape(length, shared, self._head), turns)
        values = self._linear(f"{at}.v_proj", states).reshape(length, shared, self._head)
        grouped = asks.reshape(length, shared, heads // shared, self._head)
        weight = np.einsum("tsgd,usd->sgtu", grouped, keys) / np.float32(np.sqrt(self._head))
        weight = np.where(np.tri(length, dtype=bool), weight, -np.inf)
        weight = np.exp(weight - weight.max(axis=-1, keepdims=True))
        weight /= weight.sum(axis=-1, keepdims=True)
        seen = np.einsum("sgtu,usd->tsgd", weight, values).reshape(length, heads * self._head)
        return self._linear(f"{at}.o_proj", seen)

    def _linear(self, name: str, states: Floats32) -> Floats32:
        found = states @ self.weights[f"{name}.weight"].T
        if name in self.low:
            low = self.low[name]
            found = found + np.float32(low.scale) * ((states @ low.a.T) @ low.b.T)
        return np.asarray(found, dtype=np.float32)

    @property
    def _head(self) -> int:
        return int(self.config.get("head_dim") or self.config["hidden_size"] // self.config["num_attention_heads"])


def load_plain(base: Path, adapter: Path) -> PlainLlama | None:
    """A base model with its adapter; None where anything about them is not plain, or not whole.

    Args:
        base: The folder of the base model, whose digest was compared.
        adapter: The folder of the adapter, likewise.

    Raises:
        ArtifactError: a file cannot be read, or the adapter is of a kind that is never served.
    """
    config = read_config(base / CONFIG)
    if not _is_plain_model(base, config) or not (adapter / ADAPTER).exists():
        return None
    matrices = {f"model.layers.{n}.{name}": n for n in range(config["num_hidden_layers"]) for name in _linear_names()}
    settings = read_adapter_config(adapter, list(matrices))
    if not _is_plain_adapter(settings):
        return None
    tensors, weights = _tensors(adapter / ADAPTER), _tensors(base / WEIGHTS)
    if tensors is None or weights is None or not is_plain(settings, tensors):
        return None
    layers, targets = settings.get("layers_to_transform"), tuple(f".{one}" for one in settings["target_modules"])
    chosen = [
        name for name, layer in matrices.items() if f".{name}".endswith(targets) and (layers is None or layer in layers)
    ]
    halves = [f"{PREFIX}{name}.lora_{half}.weight" for name in chosen for half in "AB"]
    if set(tensors) != set(halves) or set(weights) != set(_base_names(config, matrices)):
        return None
    if not all(np.isfinite(tensor).all() for tensor in tensors.values()):
        return None
    scale = settings["lora_alpha"] / settings["r"]
    found = (tensors[half] for half in halves)
    low = {name: Low(next(found), next(found), scale) for name in chosen}
    rank, shapes = settings["r"], _shapes(config)
    fits = all(
        (one.b.shape, one.a.shape) == ((shapes(name)[0], rank), (rank, shapes(name)[1])) for name, one in low.items()
    )
    fits &= all(weights[f"{name}.weight"].shape == shapes(name) for name in matrices)
    return PlainLlama(config, weights, low) if fits else None


def _shapes(config: Mapping[str, Any]) -> Callable[[str], tuple[int, int]]:
    """The shape of each linear layer by its name, as the configuration has it."""
    hidden, inner, heads = (config[name] for name in ("hidden_size", "intermediate_size", "num_attention_heads"))
    size = config.get("head_dim") or hidden // heads
    asks, shared = heads * size, config["num_key_value_heads"] * size
    found = {"q": (asks, hidden), "k": (shared, hidden), "v": (shared, hidden), "o": (hidden, asks)}
    found |= {"gate": (inner, hidden), "up": (inner, hidden), "down": (hidden, inner)}
    return lambda name: found[name.rpartition(".")[2].removesuffix("_proj")]


def _is_plain_model(folder: Path, config: Mapping[str, Any]) -> bool:
    turns = config.get("rope_parameters")
    return (
        config.get("model_type") == "llama"
        and "quantization_config" not in config
        and all(config.get(name, value) == value for name, value in USUAL.items())
        and isinstance(turns, dict)
        and turns.keys() == {"rope_theta", "rope_type"}
        and turns["rope_type"] == "default"
        and [path.name for path in folder.glob("*.safetensors")] == [WEIGHTS]
        and (folder / WEIGHTS).stat().st_size <= LARGEST
    )


def _is_plain_adapter(settings: Mapping[str, Any]) -> bool:
    layers = settings.get("layers_to_transform")
    return (
        settings["peft_type"] == "LORA"
        and isinstance(settings.get("target_modules"), list)
        and all(name in PLAIN_LORA for name, value in settings.items() if value)
        and settings.get("init_lora_weights", True) in (True, False, "gaussian")
        and (layers is None or isinstance(layers, list))
    )


def _linear_names() -> Iterator[str]:
    return (f"{part}.{name}" for part, names in LINEAR.items() for name in names)


def _base_names(config: Mapping[str, Any], matrices: Mapping[str, int]) -> Iterator[str]:
    """Every tensor that such a model has."""
    yield from ("model.embed_tokens.weight", "model.norm.weight")
    yield from (f"{name}.weight" for name in matrices)
    for layer in range(config["num_hidden_layers"]):
        yield f"model.layers.{layer}.input_layernorm.weight"
        yield f"model.layers.{layer}.post_attention_layernorm.weight"
    if not config.get("tie_word_embeddings"):
        yield "lm_head.weight"


def _tensors(path: Path) -> dict[str, Floats32] | None:
    """The tensors of a file, mapped into memory; None where one is not of 32 bits."""
    place = require_regular(path, error=ArtifactError)
    with foreign(f"{path} is damaged", error=ArtifactError, mend="Copy it again."):
        whole = np.memmap(place, dtype=np.uint8, mode="r")
        start = 8 + int.from_bytes(whole[:8].tobytes(), "little")
        table = json.loads(whole[8:start].tobytes())
        table.pop("__metadata__", None)
        if any(entry["dtype"] != "F32" for entry in table.values()):
            return None
        return {
            name: whole[start + begin : start + end].view(np.float32).reshape(entry["shape"])
            for name, entry in table.items()
            for begin, end in [entry["data_offsets"]]
        }


def _normal(states: Floats32, weight: Floats32, epsilon: float) -> Floats32:
    """Each vector over its root mean square (RMSNorm)."""
    size = np.sqrt((states**2).mean(axis=-1, keepdims=True) + np.float32(epsilon))
    return np.asarray(states / size * weight, dtype=np.float32)


def _turns(length: int, width: int, theta: float) -> tuple[Floats32, Floats32]:
    """Cosines and sines of the rotary position encoding; shape (length, 1, width) each."""
    speeds = 1.0 / theta ** (np.arange(0, width, 2) / width)
    angles = np.outer(np.arange(length), speeds)
    both = np.concatenate([angles, angles], axis=-1)[:, None, :]
    return np.cos(both).astype(np.float32), np.sin(both).astype(np.float32)


def _turned(vectors: Floats32, turns: tuple[Floats32, Floats32]) -> Floats32:
    half = vectors.shape[-1] // 2
    aside = np.concatenate([-vectors[..., half:], vectors[..., :half]], axis=-1)
    return np.asarray(vectors * turns[0] + aside * turns[1], dtype=np.float32)
