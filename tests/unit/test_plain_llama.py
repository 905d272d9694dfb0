"""A few texts are answered without torch, and just as they are with it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from antivenom.artifacts.artifact import load_artifact
from antivenom.defenses.p2p import P2P
from antivenom.inference.guarded import load_guarded
from antivenom.inference.quick import FEW, quick_answers
from antivenom.models.plain_llama import load_plain
from antivenom.testing import StandInLab
from antivenom.training.fit import train_artifact
from antivenom.training.training_options import TrainingOptions

RECIPE = TrainingOptions(rank=4, learning_rate=1e-2, batch_size=16, epochs=1)
TEXTS = ["a warm film", "x", "dull and lame and slow " * 40, "ünïcode 漢字 12345", "<|im_end|> a turn"]


@pytest.fixture(scope="module")
def fitted(task, rows, model_folder, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("quick") / "run"
    prepared = P2P(reserve="random").prepare(task, rows, trusted=None, lab=StandInLab(0))
    train_artifact(prepared, model=str(model_folder), out=out, options=RECIPE, quiet=True)
    return out


@pytest.fixture
def base(model_folder, tmp_path) -> Path:
    return Path(shutil.copytree(model_folder, tmp_path / "base"))


@pytest.fixture
def adapter(fitted, tmp_path) -> Path:
    return Path(shutil.copytree(fitted, tmp_path / "adapter"))


def edit(path: Path, **settings: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), **settings}), encoding="utf-8")


def test_answers_are_those_of_the_whole_way(fitted):
    quick = quick_answers(load_artifact(fitted), TEXTS)
    assert quick is not None
    for one, other in zip(quick, load_guarded(fitted).predict(TEXTS), strict=True):
        assert (one.answer, one.extended, one.cut) == (other.answer, other.extended, other.cut)
        assert one.probability == pytest.approx(other.probability, abs=1e-5)
        assert one.escape == pytest.approx(other.escape, abs=1e-5)


def test_choices_of_several_tokens_are_added_up(fitted, model_folder):
    computed, whole = load_plain(model_folder, fitted), load_guarded(fitted).model
    assert computed is not None
    prompts, choices = [[5, 6, 7, 8], [9]], [(10, 11), (10, 12), (13,)]
    one, other = computed.score(prompts, choices), whole.score(prompts, choices)
    np.testing.assert_allclose(one.log_probabilities, other.log_probabilities, atol=1e-4)
    assert one.other.tolist() == other.other.tolist()


def test_a_head_of_its_own_is_used(fitted, base, tmp_path):
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(base)
    model.config.tie_word_embeddings = False
    model.lm_head.weight = type(model.lm_head.weight)(model.lm_head.weight.detach() * 2)
    model.save_pretrained(tmp_path / "untied")
    tied, untied = load_plain(base, fitted), load_plain(tmp_path / "untied", fitted)
    assert tied is not None
    assert untied is not None
    assert not np.allclose(tied.after([5, 6]), untied.after([5, 6]))


@pytest.mark.parametrize(
    "settings",
    [
        {"use_rslora": True},
        {"use_dora": True},
        {"alpha_pattern": {"q_proj": 4}},
        {"target_modules": "all-linear"},
        {"target_modules": ["q_proj"]},
        {"modules_to_save": ["lm_head"]},
        {"lora_bias": True},
        {"some_new_setting": 1},
        {"r": 10**7},
    ],
)
def test_an_adapter_that_is_not_plain_or_not_whole_is_left_to_the_whole_way(model_folder, adapter, settings):
    edit(adapter / "adapter_config.json", **settings)
    assert load_plain(model_folder, adapter) is None


@pytest.mark.parametrize(
    "settings",
    [
        {"model_type": "mistral"},
        {"hidden_act": "gelu"},
        {"rope_parameters": {"rope_type": "llama3", "rope_theta": 1e4}},
        {"attention_bias": True},
        {"num_hidden_layers": 3},
        {"num_key_value_heads": 1},
        {"head_dim": 4},
        {"quantization_config": {}},
    ],
)
def test_a_model_that_is_not_plain_or_not_whole_is_left_to_the_whole_way(base, fitted, settings):
    edit(base / "config.json", **settings)
    assert load_plain(base, fitted) is None


def test_many_texts_are_left_to_the_whole_way(fitted):
    assert quick_answers(load_artifact(fitted), ["a"] * (FEW + 1)) is None
    assert quick_answers(load_artifact(fitted), []) is None


def test_changed_weights_are_refused_here_too(adapter, model_folder):
    (adapter / "adapter_model.safetensors").write_bytes(b"\0" * 64)
    with pytest.raises(Exception, match="changed after training"):
        quick_answers(load_artifact(adapter), ["a"], model=str(model_folder))


def test_one_answer_loads_no_torch(fitted):
    code = (
        "import sys; from antivenom.cli import main\n"
        f"assert main(['predict', {str(fitted)!r}, 'a warm film', '--json']) == 0\n"
        "print([name for name in ('torch', 'peft', 'scipy', 'datasets') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
