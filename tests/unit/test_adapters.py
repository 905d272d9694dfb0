"""Every kind of adapter answers as it was trained, or is refused with a reason."""

from __future__ import annotations

import copy
import json
import os
import warnings
from pathlib import Path

import peft
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from antivenom.core.errors import ArtifactError
from antivenom.models.adapters import load_adapter
from antivenom.models.base_model import locate_model
from antivenom.models.base_store import BaseStore
from antivenom.models.local import load_causal_lm
from antivenom.models.trained import require_above
from antivenom.testing import tiny_model

IDS = torch.tensor([[5, 9, 300, 7, 12, 44, 3, 8]])
TWO = {"target_modules": ["q_proj", "v_proj"]}
KINDS = {
    "lora": peft.LoraConfig(r=4, **TWO),
    "rslora": peft.LoraConfig(r=4, use_rslora=True, **TWO),
    "dora": peft.LoraConfig(r=4, use_dora=True, **TWO),
    "pissa": peft.LoraConfig(r=4, init_lora_weights="pissa", **TWO),
    "olora": peft.LoraConfig(r=4, init_lora_weights="olora", **TWO),
    "ranks": peft.LoraConfig(r=4, rank_pattern={"q_proj": 8}, alpha_pattern={r"layers\.1\.\w+\.v_proj": 3}, **TWO),
    "regex": peft.LoraConfig(r=4, target_modules=r".*\.(q|v)_proj"),
    "one layer": peft.LoraConfig(r=4, layers_to_transform=[1], layers_pattern="layers", **TWO),
    "head": peft.LoraConfig(r=4, target_modules=["q_proj", "lm_head"]),
    "embeddings": peft.LoraConfig(r=4, target_modules=["q_proj", "embed_tokens"]),
    "both ends": peft.LoraConfig(r=4, target_modules=["embed_tokens", "lm_head"]),
    "tied both ends": peft.LoraConfig(r=4, target_modules=["embed_tokens", "lm_head"], ensure_weight_tying=True),
    "head kept": peft.LoraConfig(r=4, modules_to_save=["lm_head"], **TWO),
    "embeddings kept": peft.LoraConfig(r=4, modules_to_save=["embed_tokens"], **TWO),
    "both kept": peft.LoraConfig(r=4, modules_to_save=["embed_tokens", "lm_head"], **TWO),
    "norm kept": peft.LoraConfig(r=4, modules_to_save=["norm"], **TWO),
    "token rows": peft.LoraConfig(r=4, trainable_token_indices=[3, 9, 300], **TWO),
    "parameters": peft.LoraConfig(r=4, target_modules=[], target_parameters=["q_proj.weight"]),
    "tokens": peft.TrainableTokensConfig(token_indices=[3, 9, 300]),
    "ia3": peft.IA3Config(target_modules=["k_proj", "down_proj"], feedforward_modules=["down_proj"]),
    "adalora": peft.AdaLoraConfig(init_r=4, target_r=2, total_step=10, **TWO),
    "loha": peft.LoHaConfig(r=4, **TWO),
    "lokr": peft.LoKrConfig(r=4, **TWO),
    "oft": peft.OFTConfig(oft_block_size=8, **TWO),
    "boft": peft.BOFTConfig(boft_block_size=4, **TWO),
    "vera": peft.VeraConfig(r=4, **TWO),
    "norms": peft.LNTuningConfig(target_modules=["input_layernorm"]),
}
REFUSED = {
    "prompt": peft.PromptTuningConfig(num_virtual_tokens=4, task_type="CAUSAL_LM"),
    "prefix": peft.PrefixTuningConfig(num_virtual_tokens=4, task_type="CAUSAL_LM"),
    "activated": peft.LoraConfig(r=4, alora_invocation_tokens=[5, 9], task_type="CAUSAL_LM", **TWO),
    "repeated layers": peft.LoraConfig(r=4, layer_replication=[(0, 2), (0, 2)], **TWO),
    "fourier": peft.FourierFTConfig(n_frequency=10, **TWO),
}


@pytest.fixture(scope="module")
def untied(tmp_path_factory) -> Path:
    """The same model with a vocabulary head of its own."""
    folder = tiny_model(tmp_path_factory.mktemp("untied"))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "tie_word_embeddings": False}))
    weights = load_file(folder / "model.safetensors")
    weights["lm_head.weight"] = torch.randn(weights["model.embed_tokens.weight"].shape) / 5
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def logits(model) -> torch.Tensor:
    with torch.no_grad():
        return model.eval()(input_ids=IDS).logits


def train(base: Path, config: peft.PeftConfig, out: Path, *, vocabulary: int | None = None) -> torch.Tensor:
    """A few steps on nonsense, saved as PEFT does; returns what the trained model says."""
    config = copy.deepcopy(config)
    with torch.random.fork_rng(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_pretrained(base)
        if vocabulary is not None:
            model.resize_token_embeddings(vocabulary, mean_resizing=False)
        adapted = peft.get_peft_model(model, config)
        learned = [parameter for parameter in adapted.parameters() if parameter.requires_grad]
        steps = torch.optim.AdamW(learned, lr=0.05)
        for _ in range(3):
            adapted.train()(input_ids=IDS, labels=IDS).loss.backward()
            steps.step()
            steps.zero_grad()
        adapted.save_pretrained(out)
        return logits(adapted)


def served(base: Path, folder: Path) -> torch.Tensor:
    return logits(load_adapter(load_causal_lm(base), folder))


def check_served(base: Path, kind: str, folder: Path) -> None:
    trained = train(base, KINDS[kind], folder)
    store = BaseStore()
    located = store.locate(str(base))
    before = logits(store.adaptable(located))
    assert (trained - before).abs().max() > 1e-3, "it must have learned something"
    for _ in range(2):  # the base that was lent is what it was
        assert logits(load_adapter(store.adaptable(located), folder)) == pytest.approx(trained, abs=1e-4)
    assert torch.equal(logits(store.adaptable(located)), before)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_served_is_what_was_trained(kind, model_folder, tmp_path):
    check_served(model_folder, kind, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_served_is_what_was_trained_where_the_head_is_not_tied(kind, untied, tmp_path):
    check_served(untied, kind, tmp_path)


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_served_is_refused(kind, model_folder, tmp_path):
    train(model_folder, REFUSED[kind], tmp_path)
    with pytest.raises(ArtifactError):
        served(model_folder, tmp_path)


@pytest.mark.parametrize("kind", ["lora", "both kept", "embeddings"])
def test_a_vocabulary_that_was_resized_is_served(kind, model_folder, tmp_path):
    trained = train(model_folder, KINDS[kind], tmp_path, vocabulary=1030)
    assert served(model_folder, tmp_path) == pytest.approx(trained, abs=1e-4)


def test_copies_of_a_base_share_its_weights(model_folder):
    store = BaseStore()
    located = store.locate(str(model_folder))
    one, other = store.adaptable(located), store.adaptable(located)
    places = [[parameter.data_ptr() for parameter in model.parameters()] for model in (one, other)]
    assert places[0] == places[1]
    assert not any(parameter.requires_grad for parameter in one.parameters())
    assert one.get_input_embeddings().weight is one.get_output_embeddings().weight, "tied as before"


# ------------------------------------------------------------------------------------------------------------ refusals


def damaged(tmp_path: Path, model_folder: Path, change) -> Path:
    train(model_folder, KINDS["lora"], tmp_path)
    path = tmp_path / "adapter_model.safetensors"
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path)
    return tmp_path


def drop_half(tensors):
    for name in sorted(tensors)[::2]:
        del tensors[name]


def rename(tensors):
    for name in sorted(tensors):
        tensors[name.replace("q_proj", "z_proj")] = tensors.pop(name)


def spoil(tensors):
    tensors[max(tensors)][0, 0] = float("nan")


def blow_up(tensors):
    tensors[max(tensors)][0, 0] = float("inf")


def add(tensors):
    tensors["base_model.model.model.layers.9.self_attn.q_proj.lora_A.weight"] = torch.zeros(4, 32)


def reshape(tensors):
    tensors[max(tensors)] = torch.zeros(5, 5)


@pytest.mark.parametrize("change", [dict.clear, drop_half, rename, spoil, blow_up, add, reshape])
def test_tensors_that_are_not_those_of_the_adapter_are_refused(change, model_folder, tmp_path):
    folder = damaged(tmp_path, model_folder, change)
    with pytest.raises(ArtifactError):
        served(model_folder, folder)


@pytest.mark.parametrize(
    "setting",
    [
        {"rank_pattern": {r"(\w*\.?)*!": 4}},
        {"target_modules": [f"m{n}" for n in range(10_000)]},
        {"target_modules": r"(\w+\.?)+\.(x|\w+)+!"},
        {"r": 10**9},
        {"r": 10**6},
        {"rank_pattern": {"q_proj": 10**6}},
        {"target_modules": "("},
        {"peft_type": "LORAX"},
        {"megatron_config": {"a": 1}},
    ],
)
def test_configurations_that_never_end_or_ask_for_more_are_refused(setting, model_folder, tmp_path, monkeypatch):
    monkeypatch.setattr("antivenom.models.adapter_files.SECONDS", 1)
    train(model_folder, KINDS["lora"], tmp_path)
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    (tmp_path / "adapter_config.json").write_text(json.dumps({**config, **setting}))
    with pytest.raises(ArtifactError):
        served(model_folder, tmp_path)


def test_states_of_the_base_are_kept_only_below_what_was_trained(model_folder, tmp_path):
    train(model_folder, KINDS["one layer"], tmp_path / "top")
    train(model_folder, KINDS["lora"], tmp_path / "all")
    train(model_folder, KINDS["embeddings"], tmp_path / "embeddings")
    require_above(tmp_path / "top", 1)
    for name in ("all", "embeddings"):
        with pytest.raises(ArtifactError, match="below layer 1"):
            require_above(tmp_path / name, 1)
    with pytest.raises(ArtifactError, match="full weights"):
        require_above(model_folder, 1)


# ---------------------------------------------------------------------------------------------------------- base models


def broken_base(source: Path, out: Path, *, config=lambda c: None, weights=lambda w: None) -> Path:
    out.mkdir()
    for path in source.iterdir():
        (out / path.name).write_bytes(path.read_bytes())
    settings = json.loads((out / "config.json").read_text())
    config(settings)
    (out / "config.json").write_text(json.dumps(settings))
    tensors = load_file(out / "model.safetensors")
    weights(tensors)
    save_file(tensors, out / "model.safetensors", metadata={"format": "pt"})
    return out


def keep_three(tensors):
    for name in sorted(tensors)[3:]:
        del tensors[name]


@pytest.mark.parametrize(
    ("part", "change"),
    [
        ("weights", keep_three),
        ("weights", lambda w: w[min(w)].fill_(float("nan"))),
        ("config", lambda c: c.update(model_type="bert", architectures=["BertLMHeadModel"])),
        ("config", lambda c: c.update(num_hidden_layers=1)),
        ("config", lambda c: c.update(num_hidden_layers=10**6)),
        ("config", lambda c: c.update(hidden_size=64)),
        ("config", lambda c: c.update(vocab_size=-3)),
        ("config", lambda c: c.update(model_type="no_such_model")),
        ("config", lambda c: c.update(num_attention_heads="four")),
        ("config", lambda c: c.update(rope_parameters=[1])),
    ],
)
def test_a_base_that_is_not_whole_is_refused(part, change, model_folder, tmp_path):
    folder = broken_base(model_folder, tmp_path / "base", **{part: change})
    with pytest.raises(ArtifactError):
        load_causal_lm(locate_model(str(folder)).folder)


def test_an_index_of_weights_belongs_to_the_model(model_folder, tmp_path):
    folder = broken_base(model_folder, tmp_path / "base")
    before = locate_model(str(folder)).identity
    index = folder / "model.safetensors.index.json"
    names = dict.fromkeys(load_file(folder / "model.safetensors"), "model.safetensors")
    index.write_text(json.dumps({"metadata": {}, "weight_map": names}))
    assert locate_model(str(folder)).identity != before
    names[min(names)] = "../elsewhere.safetensors"
    index.write_text(json.dumps({"metadata": {}, "weight_map": names}))
    with pytest.raises(ArtifactError, match="not beside it"):
        locate_model(str(folder))


def test_an_adapter_beside_a_base_is_not_loaded_with_it(model_folder, tmp_path):
    folder = broken_base(model_folder, tmp_path / "base")
    train(model_folder, KINDS["lora"], folder)
    assert torch.equal(logits(load_causal_lm(folder)), logits(load_causal_lm(model_folder)))


def test_a_model_is_hashed_once(model_folder, tmp_path, monkeypatch):
    from antivenom.core import file_digests

    folder = broken_base(model_folder, tmp_path / "base")
    for path in folder.iterdir():
        os.utime(path, (1, 1))
    monkeypatch.setattr(file_digests, "SETTLED", -1)  # as if they had been written long ago
    read = []
    plain = file_digests.open_regular
    monkeypatch.setattr(file_digests, "open_regular", lambda path, **more: read.append(path) or plain(path, **more))
    first = locate_model(str(folder)).identity
    assert [path.name for path in read] == ["config.json", "model.safetensors"]
    assert locate_model(str(folder)).identity == first
    assert len(read) == 2
    (folder / "config.json").write_bytes((folder / "config.json").read_bytes() + b"\n")
    assert locate_model(str(folder)).identity != first
