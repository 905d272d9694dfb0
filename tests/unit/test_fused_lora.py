"""LoRA in fewer passes is LoRA."""

from __future__ import annotations

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM

from antivenom.models.fused_lora import fused_lora


def adapted(**options):
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=64,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        attention_bias=True,
    )
    lora = LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM", **{"lora_alpha": 12, **options})
    model = get_peft_model(LlamaForCausalLM(config), lora)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    return model


def loss_and_gradients(model, ids):
    model.zero_grad()
    loss = model(input_ids=ids, labels=ids).loss
    loss.backward()
    return loss.item(), {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}


def test_loss_and_gradients_are_those_of_peft():
    model, ids = adapted(), torch.arange(24).view(2, 12)
    expected, gradients = loss_and_gradients(model, ids)
    with fused_lora(model) as count:
        found, fused = loss_and_gradients(model, ids)
    assert count == 14
    assert found == pytest.approx(expected, abs=1e-6)
    assert fused.keys() == gradients.keys()
    for name, gradient in gradients.items():
        torch.testing.assert_close(fused[name], gradient, atol=1e-5, rtol=1e-5)
    assert not any("forward" in vars(module) for module in model.modules())


def test_gradients_by_finite_differences():
    from antivenom.models.fused_lora import _LoraProduct

    torch.manual_seed(0)
    x, down, up = (torch.randn(s, dtype=torch.float64, requires_grad=True) for s in ((2, 3, 5), (2, 5), (4, 2)))
    weight, bias = torch.randn(4, 5, dtype=torch.float64), torch.randn(4, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda a, b, c: _LoraProduct.apply(a, weight, bias, b, c, 0.7), (x, down, up))


@pytest.mark.parametrize("options", [{"lora_dropout": 0.1}, {"use_dora": True}])
def test_layers_that_are_not_plain_are_left_alone(options):
    with fused_lora(adapted(**options)) as count:
        assert count == 0


def test_switched_off_or_merged_adapters_stay_so():
    model, ids = adapted().eval(), torch.arange(6).view(1, 6)
    with torch.no_grad():
        with model.disable_adapter():
            plain = model(ids).logits
        whole = model(ids).logits
        with fused_lora(model):
            torch.testing.assert_close(model(ids).logits, whole)
            with model.disable_adapter():
                torch.testing.assert_close(model(ids).logits, plain)
            model.merge_adapter()
            torch.testing.assert_close(model(ids).logits, whole, atol=1e-4, rtol=1e-4)
