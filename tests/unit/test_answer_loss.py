"""The loss of answers, however long, is that of transformers, and its logits never exist all at once."""

from __future__ import annotations

from random import Random
from types import SimpleNamespace

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from transformers import Gemma2Config, Gemma2ForCausalLM, GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from antivenom.models import answer_loss
from antivenom.models.answer_loss import IGNORED, losses_for_logits, plain_head
from antivenom.training.trainer import LabelTrainer, collate

VOCABULARY = 211
SIZES = {"vocab_size": VOCABULARY, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
LLAMA = {**SIZES, "intermediate_size": 48, "num_key_value_heads": 2}


def with_bias():
    model = LlamaForCausalLM(LlamaConfig(**LLAMA))
    model.lm_head = torch.nn.Linear(32, VOCABULARY, bias=True)
    return model


MODELS = {
    "own head": lambda: LlamaForCausalLM(LlamaConfig(**LLAMA)),
    "tied head": lambda: LlamaForCausalLM(LlamaConfig(**LLAMA, tie_word_embeddings=True)),
    "bias": with_bias,
    "gpt2": lambda: GPT2LMHeadModel(GPT2Config(vocab_size=VOCABULARY, n_embd=32, n_layer=2, n_head=4)),
    "capped": lambda: Gemma2ForCausalLM(Gemma2Config(**LLAMA, head_dim=8, final_logit_softcapping=0.5)),
    "lora": lambda: lora(["q_proj", "v_proj"]),
    "lora on the head": lambda: lora(["q_proj", "lm_head"]),
}
NOT_PLAIN = {"capped", "lora on the head"}


def lora(modules):
    model = get_peft_model(
        LlamaForCausalLM(LlamaConfig(**LLAMA)), LoraConfig(r=4, target_modules=modules, task_type="CAUSAL_LM")
    )
    for name, parameter in model.named_parameters():
        if "lora_B" in name:  # zero at the start, which would hide mistakes
            torch.nn.init.normal_(parameter, std=0.1)
    return model


def made(name):
    torch.manual_seed(0)
    model = MODELS[name]().eval()
    with torch.no_grad():  # far from uniform, so that mistakes show
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return model


def long_answers(rows=5):
    rng = Random(0)
    draw = lambda low, high: [rng.randrange(4, VOCABULARY) for _ in range(rng.randint(low, high))]  # noqa: E731
    return [(draw(2, 9), tuple(draw(1, 40))) for _ in range(rows)]


def ours(model, examples):
    return LabelTrainer.compute_loss(
        SimpleNamespace(head=plain_head(model), changed_loss=None), model, collate(examples)
    )


def theirs(model, examples):
    """Padded behind, the whole sequence labeled, as trainers do."""
    width = max(len(p) + len(a) for p, a in examples)
    ids = torch.zeros(len(examples), width, dtype=torch.long)
    mask, labels = torch.zeros_like(ids), torch.full_like(ids, IGNORED)
    for i, (prompt, answer) in enumerate(examples):
        ids[i, : len(prompt) + len(answer)] = torch.tensor([*prompt, *answer])
        mask[i, : len(prompt) + len(answer)] = 1
        labels[i, len(prompt) : len(prompt) + len(answer)] = torch.tensor(answer)
    return model(input_ids=ids, attention_mask=mask, labels=labels).loss


def gradients(model, loss):
    model.zero_grad()
    loss.backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("piece", [1, 3 * VOCABULARY, 2**24])
@pytest.mark.parametrize("name", MODELS)
def test_loss_and_gradients_are_those_of_transformers(name, piece, monkeypatch):
    monkeypatch.setattr(answer_loss, "LOGITS_AT_ONCE", piece)
    model, examples = made(name), long_answers()
    assert (plain_head(model) is None) == (name in NOT_PLAIN)
    mine, plain = ours(model, examples), theirs(model, examples)
    assert mine.item() == pytest.approx(plain.item(), abs=1e-5)
    found, expected = gradients(model, mine), gradients(model, plain)
    assert found.keys() == expected.keys()
    for key, gradient in expected.items():
        torch.testing.assert_close(found[key], gradient, atol=1e-5, rtol=1e-4)


class Widest(TorchDispatchMode):
    """Notes the most numbers in any tensor that has a logit for every word (and is not the head, lying on its side)."""

    def __init__(self):
        super().__init__()
        self.numbers = 0

    def __torch_dispatch__(self, function, types, arguments=(), named=None):
        out = function(*arguments, **(named or {}))
        for leaf in tree_leaves(out):
            if (
                isinstance(leaf, torch.Tensor)
                and leaf.shape[-1:] == (VOCABULARY,)
                and leaf.shape[-2:] != (32, VOCABULARY)
            ):
                self.numbers = max(self.numbers, leaf.numel())
        return out


def test_logits_exist_a_piece_at_a_time(monkeypatch):
    monkeypatch.setattr(answer_loss, "LOGITS_AT_ONCE", 7 * VOCABULARY)
    model, examples = made("lora"), long_answers(rows=12)
    with Widest() as plain:
        theirs(model, examples).backward()
    with Widest() as mine:
        ours(model, examples).backward()
    assert plain.numbers > 100 * VOCABULARY
    assert mine.numbers == 7 * VOCABULARY


def test_the_head_is_itself_again_even_after_an_error():
    model = made("own head")
    states = torch.randn(1, 2, 32)
    expected = model.lm_head(states)
    labels = torch.tensor([[3, IGNORED]])
    with losses_for_logits(model.lm_head, labels):
        assert model.lm_head(states).shape == ()
    with pytest.raises(RuntimeError), losses_for_logits(model.lm_head, labels):
        model.lm_head(torch.randn(1, 2, 31))
    torch.testing.assert_close(model.lm_head(states), expected, atol=0, rtol=0)
    assert "forward" not in vars(model.lm_head)


def test_bfloat16_comes_close():
    model, examples = made("own head"), long_answers()
    expected = theirs(model, examples).item()
    model = model.to(torch.bfloat16)
    loss = ours(model, examples)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(expected, rel=0.05)
    assert all(gradient.isfinite().all() for gradient in gradients(model, loss).values())
