"""A frozen trunk changes what is computed, never the result."""

from __future__ import annotations

import hashlib
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from peft import PeftModel
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

from antivenom.core.errors import OptionsError
from antivenom.models import trunk as trunk_module
from antivenom.models.answer_loss import plain_head
from antivenom.models.batches import length_batches
from antivenom.models.local import LocalModel
from antivenom.models.states import StateStore, row_key
from antivenom.models.trunk import Trunk, linear_names
from antivenom.models.trunk_model import TrunkModel
from antivenom.training.checkpoints import latest_checkpoint
from antivenom.training.fit import _with_lora
from antivenom.training.order import LengthGroupedSampler
from antivenom.training.trainer import (
    LabelTrainer,
    collate,
    collate_with,
    inputs_of,
    make_trainer,
)
from antivenom.training.training_options import TrainingOptions

LAYERS = 4
EXAMPLES = [([5 + i, 7, 11 + i % 3, *range(20, 20 + i % 5)], (40 + i % 2,)) for i in range(12)]
EXAMPLES += [([9, 8, 7, 6], (41, 50, 51)), ([9, 8, 7, 6], (42, 52))]


def tiny_model(**changes):
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=64,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=LAYERS,
        num_attention_heads=4,
        num_key_value_heads=2,
        attention_dropout=0.1,
        **changes,
    )
    return LlamaForCausalLM(config).eval()


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ANTIVENOM_CACHE", str(tmp_path / "cache"))


def adapted(model, top):
    torch.manual_seed(1)
    peft = _with_lora(model, TrainingOptions(top_layers=top, rank=4, alpha=8))
    for name, parameter in peft.named_parameters():
        if "lora_B" in name:  # zero at the start, which would hide mistakes
            torch.nn.init.normal_(parameter, std=0.1)
    return peft.eval()


def loss_and_gradients(model, batch):
    model.zero_grad()
    loss = LabelTrainer.compute_loss(SimpleNamespace(head=plain_head(model), changed_loss=None), model, batch)
    loss.backward()
    return loss.item(), {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("top", [1, 2, 3, LAYERS])
def test_loss_and_gradients_are_those_of_the_whole_model(top):
    model = tiny_model()
    trunk = Trunk.of(model, top=top, identity="m")
    trunk.prepare(inputs_of(EXAMPLES))
    peft = adapted(model, top)
    whole, gradients = loss_and_gradients(peft, collate(EXAMPLES))
    with trunk.removed():
        cut, found = loss_and_gradients(peft, collate_with(trunk)(EXAMPLES))
    assert cut == pytest.approx(whole, abs=1e-6)
    assert found.keys() == gradients.keys()
    assert len(found) == 2 * 7 * top
    for name in found:
        torch.testing.assert_close(found[name], gradients[name], atol=1e-5, rtol=1e-5)


def test_the_loss_is_that_of_transformers():
    model = tiny_model()
    ids, mask, labels = [], [], []
    width = max(len(p) + len(a) for p, a in EXAMPLES)
    for prompt, answer in EXAMPLES:
        pad = width - len(prompt) - len(answer)
        ids.append([*prompt, *answer, *[0] * pad])
        mask.append([1] * (width - pad) + [0] * pad)
        labels.append([*[-100] * len(prompt), *answer, *[-100] * pad])
    plain = model(input_ids=torch.tensor(ids), attention_mask=torch.tensor(mask), labels=torch.tensor(labels)).loss
    ours, gradients = loss_and_gradients(model, collate(EXAMPLES))
    model.zero_grad()
    plain.backward()
    assert ours == pytest.approx(plain.item(), abs=1e-6)
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(gradients[name], parameter.grad, atol=1e-5, rtol=1e-5)


def train(folder, options, model, *, steps=None):
    trunk = Trunk.of(model, top=options.top_layers, identity="m")
    trunk.prepare(inputs_of(EXAMPLES))
    with trunk.removed():
        torch.manual_seed(3)
        peft = _with_lora(model, options)
        trainer = make_trainer(peft, EXAMPLES, options, seed=3, work=folder, collator=collate_with(trunk))
        if steps:
            trainer.add_callback(_stop_after(steps))
        trainer.train(resume_from_checkpoint=latest_checkpoint(folder))
    return peft


def _stop_after(steps):
    from transformers import TrainerCallback

    class Stop(TrainerCallback):
        def on_step_end(self, args, state, control, **_):
            control.should_training_stop = state.global_step >= steps
            return control

    return Stop()


def weights(peft):
    return {n: p.detach().clone() for n, p in peft.named_parameters() if "lora_" in n}


def test_training_resumes_and_the_adapter_loads_in_plain_peft(tmp_path):
    options = TrainingOptions(top_layers=2, batch_size=4, epochs=3, learning_rate=1e-2, save_every=2, rank=4)
    once = train(tmp_path / "once", options, tiny_model())
    train(tmp_path / "twice", options, tiny_model(), steps=5)
    assert latest_checkpoint(tmp_path / "twice")
    twice = train(tmp_path / "twice", options, tiny_model())
    for name, value in weights(once).items():
        torch.testing.assert_close(weights(twice)[name], value, atol=0, rtol=0)
    assert all("layers.2." in n or "layers.3." in n for n in weights(once))
    tiny_model().save_pretrained(tmp_path / "base")
    once.save_pretrained(tmp_path / "adapter", save_embedding_layers=False)
    loaded = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(tmp_path / "base"), tmp_path / "adapter")
    batch = collate(EXAMPLES)
    batch.pop("labels")
    with torch.no_grad():
        torch.testing.assert_close(loaded.eval()(**batch).logits, once.eval()(**batch).logits)
        once.disable_adapter_layers()
        assert not torch.allclose(loaded(**batch).logits, once(**batch).logits)


def test_rows_are_computed_once_and_shared(monkeypatch):
    model = tiny_model()
    rows = inputs_of(EXAMPLES)
    first = Trunk.of(model, top=2, identity="m")
    first.prepare(rows[:8])
    ran = []
    monkeypatch.setattr(Trunk, "run", lambda self, rows, run=Trunk.run: ran.extend(rows) or run(self, rows))
    again = Trunk.of(model, top=2, identity="m")
    again.prepare(rows[:8])
    assert ran == []
    other = Trunk.of(model, top=2, identity="another model")
    other.prepare(rows[:2])
    assert len(ran) == 2
    ran.clear()
    again.prepare(rows)
    assert len(again.store) == len({tuple(row) for row in rows})
    assert sorted(ran) == sorted({tuple(row) for row in rows} - {tuple(row) for row in rows[:8]})


def test_an_interrupted_preparation_goes_on_with_the_same_batches(monkeypatch):
    import antivenom.models.trunk as module

    monkeypatch.setattr(module, "TOKEN_BUDGET", 20)
    monkeypatch.setattr(module, "SHARD_TOKENS", 30)
    ran = []
    run = Trunk.run

    def run_some(self, rows):
        if len(ran) == 3:
            raise KeyboardInterrupt
        ran.append(rows)
        return run(self, rows)

    rows = inputs_of(EXAMPLES)
    once = Trunk.of(tiny_model(), top=2, identity="once")
    once.prepare(rows)
    monkeypatch.setattr(Trunk, "run", run_some)
    with pytest.raises(KeyboardInterrupt):
        Trunk.of(tiny_model(), top=2, identity="twice").prepare(rows)
    monkeypatch.setattr(Trunk, "run", run)
    twice = Trunk.of(tiny_model(), top=2, identity="twice")
    assert 0 < len(twice.store) < len(once.store)
    twice.prepare(rows)
    torch.testing.assert_close(twice.batch(rows), once.batch(rows), atol=0, rtol=0)


def test_dropout_is_off_in_the_trunk_and_the_mode_of_training_does_not_matter():
    model = tiny_model()
    trunk = Trunk.of(model, top=2, identity="m")
    plain = trunk.run(inputs_of(EXAMPLES))
    model.train()
    for a, b in zip(plain, trunk.run(inputs_of(EXAMPLES)), strict=True):
        torch.testing.assert_close(a, b, atol=0, rtol=0)


@pytest.mark.parametrize("choices", [[(40,), (41,)], [(40,), (41, 50), (41, 51)]])
def test_scores_on_the_trunk_are_those_of_the_whole_model(choices, monkeypatch):
    merged = adapted(tiny_model(), 2).merge_and_unload()
    prompts = [prompt for prompt, _ in EXAMPLES]
    expected = LocalModel(merged).score(prompts, choices)
    model = TrunkModel(Trunk.of(merged, top=2, identity="base"))
    for _ in range(2):
        found = model.score(prompts, choices)
        assert found.log_probabilities == pytest.approx(expected.log_probabilities, abs=1e-4)
        assert (found.other == expected.other).all()
        monkeypatch.setattr(Trunk, "run", None)  # the second time everything is kept


def test_a_damaged_shard_is_ignored_and_computed_again():
    trunk = Trunk.of(tiny_model(), top=2, identity="m")
    trunk.prepare(inputs_of(EXAMPLES))
    expected = trunk.batch(inputs_of(EXAMPLES))
    [shard] = trunk.store.folder.glob("*.safetensors")
    shard.write_bytes(shard.read_bytes()[:100])
    again = Trunk.of(tiny_model(), top=2, identity="m")
    assert len(again.store) == 0
    again.prepare(inputs_of(EXAMPLES))
    torch.testing.assert_close(again.batch(inputs_of(EXAMPLES)), expected, atol=0, rtol=0)


def test_a_changed_shard_is_ignored_and_computed_again():
    trunk = Trunk.of(tiny_model(), top=2, identity="m")
    trunk.prepare(inputs_of(EXAMPLES))
    [shard] = trunk.store.folder.glob("*.safetensors")
    data = bytearray(shard.read_bytes())
    data[-1] ^= 1  # one bit of the states: still a whole file of safetensors
    shard.write_bytes(bytes(data))
    assert len(Trunk.of(tiny_model(), top=2, identity="m").store) == 0


def test_a_link_in_the_cache_is_neither_read_nor_makes_room(tmp_path):
    store, other = StateStore(tmp_path / "cache" / "a", limit=10**6), StateStore(tmp_path / "mine")
    key = shard_of(other, 1)
    mine = other._places[key].shard
    (store.folder / mine.name).symlink_to(mine)
    (tmp_path / "cache" / "linked").symlink_to(tmp_path / "mine")
    store.refresh()
    assert key not in store
    with pytest.raises(OptionsError, match="does not fit"):
        store.make_room(10**6 + 1, keep=[])
    assert mine.exists()
    assert (store.folder / mine.name).is_symlink()


def test_a_cache_of_another_user_or_of_all_is_refused(tmp_path, monkeypatch):
    import os

    from antivenom.core.files import own_cache

    folder = own_cache("trunk")
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.chmod(0o777)
    with pytest.raises(OptionsError, match="everybody may write"):
        Trunk.of(tiny_model(), top=2, identity="m")
    folder.chmod(0o755)
    if os.geteuid() == 0:  # only root can give a folder away
        os.chown(folder, 12345, -1)
        with pytest.raises(OptionsError, match="belongs to another user"):
            Trunk.of(tiny_model(), top=2, identity="m")


def test_bfloat16_states_are_kept_as_they_are():
    model = tiny_model().to(torch.bfloat16)
    trunk = Trunk.of(model, top=1, identity="m")
    trunk.prepare(inputs_of(EXAMPLES))
    assert trunk.batch(inputs_of(EXAMPLES)).dtype == torch.bfloat16


def shard_of(store, number):
    key = row_key([number])
    store.add([(key, torch.full((8, 4), float(number)))])
    return key


def test_the_store_is_bounded_and_forgets_what_was_not_used_for_longest(tmp_path):
    import os

    first = StateStore(tmp_path / "a", limit=2000)
    old, new = shard_of(first, 1), shard_of(first, 2)
    for age, key in ((1000, old), (500, new)):
        path = first._places[key].shard
        os.utime(path, (path.stat().st_atime, path.stat().st_mtime - age))
    size = sum(p.stat().st_size for p in tmp_path.glob("*/*.safetensors"))
    first.make_room(2000 - size + 1, keep=[])
    assert old not in first
    assert new in first
    assert first.read(new)[0, 0] == 2
    with pytest.raises(OptionsError, match="does not fit"):
        first.make_room(2000, keep=[new])
    assert new in first


def test_two_stores_may_add_the_same_rows(tmp_path):
    a, b = StateStore(tmp_path / "s"), StateStore(tmp_path / "s")
    assert shard_of(a, 1) == shard_of(b, 1)
    assert len(list((tmp_path / "s").iterdir())) == 1


def test_unknown_architectures_and_impossible_numbers_are_refused(monkeypatch):
    from transformers import GPT2Config, GPT2LMHeadModel

    gpt2 = GPT2LMHeadModel(GPT2Config(n_layer=1, n_head=2, n_embd=8, vocab_size=64))
    with pytest.raises(OptionsError, match=r"GPT2LMHeadModel has no stack of layers"):
        Trunk.of(gpt2, top=1, identity="m")
    for top in (0, LAYERS + 1):
        with pytest.raises(OptionsError, match="choose 1 to 4"):
            Trunk.of(tiny_model(), top=top, identity="m")
    with pytest.raises(OptionsError, match="LoRA alone"):
        TrainingOptions(top_layers=2, method="full")
    model = tiny_model()
    model.model.register_forward_pre_hook(
        lambda _, args, named: (
            (args, {**named, "inputs_embeds": named["inputs_embeds"] * 2})
            if named.get("inputs_embeds") is not None
            else None
        ),
        with_kwargs=True,
    )
    with pytest.raises(OptionsError, match="does not continue"):
        Trunk.of(model, top=1, identity="m").prepare([[1, 2, 3]])


def test_linear_names_leave_the_head_out():
    names = ["down_proj", "gate_proj", "k_proj", "o_proj", "q_proj", "up_proj", "v_proj"]
    assert linear_names(tiny_model()) == names


def test_the_key_of_a_row_does_not_depend_on_its_type():
    assert row_key([1, 2]) == row_key((1, 2)) != row_key([1, 2, 0])
    assert row_key([1]) == hashlib.blake2b(b"\x01\0\0\0", digest_size=16).digest()
    assert trunk_module.SHARD_TOKENS > trunk_module.TOKEN_BUDGET


@pytest.mark.parametrize(("rows", "batch"), [(1200, 16), (1200, 32), (5000, 32)])
def test_padding_stays_under_five_percent(rows, batch):
    generator = torch.Generator().manual_seed(0)
    lengths = (
        12 + 12 * torch.randn(rows, generator=generator).abs() + torch.rand(rows, generator=generator) * 20
    ).long()
    order = list(LengthGroupedSampler(lengths.tolist(), batch, seed=0))
    batches = [lengths[order[i : i + batch]] for i in range(0, rows, batch)]
    assert 1 - lengths.sum() / sum(b.max() * len(b) for b in batches) < 0.05


@given(st.lists(st.integers(1, 60), max_size=80), st.sampled_from([1, 100, 500]))
def test_length_batches_cover_all_rows_within_the_budget(lengths, budget):
    batches = list(length_batches(lengths, budget))
    assert sorted(i for b in batches for i in b) == list(range(len(lengths)))
    assert all(len(b) == 1 or len(b) * lengths[b[0]] <= budget for b in batches)
