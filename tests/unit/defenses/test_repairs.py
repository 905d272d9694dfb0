"""Repairs of a tiny model: what they change, what they save, and that what is saved can be asked."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from antivenom.core.errors import ArtifactError, OptionsError
from antivenom.defenses import parse_defense
from antivenom.defenses.base import plain_rows
from antivenom.defenses.fine_tuning import FineTuning
from antivenom.models.small_tuning import batch_of, consistency, consistency_loss, mixed, prune
from antivenom.tasks.task import Classification
from antivenom.testing import StandInLab, synthetic_rows
from antivenom.training.lab import LocalLab
from antivenom.training.training_options import TrainingOptions

TASK = Classification.for_labels(("negative", "positive"))
ROWS, TRUSTED = synthetic_rows(24), synthetic_rows(12, seed=3)
TEXTS = ["a film of charm", "dull and hollow"]
RECIPE = TrainingOptions(rank=2, learning_rate=1e-2, batch_size=8, epochs=1)


@pytest.fixture(scope="module")
def lab(model_folder, tmp_path_factory):
    return LocalLab(str(model_folder), RECIPE, tmp_path_factory.mktemp("lab"), seed=1, quiet=True)


@pytest.fixture(scope="module")
def scores(lab):
    found = {}
    for spec in ("none", "fine_tuning", "fine_mixing", "wanda_pruning", "crow:epochs=1", "w2sdefense:epochs=1"):
        name = spec.partition(":")[0]
        _, folder, _ = lab.defended(parse_defense(spec), TASK, ROWS, trusted=TRUSTED, name=name)
        found[name] = folder, lab.load(folder).score(TEXTS).log_probabilities
    return found


def test_every_repair_changes_the_model_and_can_be_asked(scores):
    plain = scores["none"][1]
    for name in ("fine_tuning", "fine_mixing", "wanda_pruning", "crow", "w2sdefense"):
        assert np.isfinite(scores[name][1]).all()
        assert np.abs(scores[name][1] - plain).max() > 1e-4, name


def test_repairs_of_whole_weights_are_saved_whole_and_others_as_adapters(scores):
    for name, whole in (
        ("fine_tuning", False),
        ("crow", False),
        ("w2sdefense", False),
        ("fine_mixing", True),
        ("wanda_pruning", True),
    ):
        folder = scores[name][0]
        assert (folder / "model.safetensors").exists() is whole
        assert (folder / "adapter_model.safetensors").exists() is not whole


def test_a_repaired_artifact_is_used_again_only_for_the_same_repair(lab):
    def noted(spec, trusted):
        _, folder, _ = lab.defended(parse_defense(spec), TASK, ROWS, trusted=trusted, name="again")
        return (folder.parent / "again.fit.json").read_bytes()

    first = noted("fine_tuning:epochs=1", TRUSTED)
    assert noted("fine_tuning:epochs=1", TRUSTED) == first
    others = [("fine_tuning:epochs=2", TRUSTED), ("fine_tuning:epochs=1", TRUSTED.slice(2)), ("none", None)]
    for spec, trusted in others:
        with pytest.raises(ArtifactError, match="already holds"):
            noted(spec, trusted)


def test_repairs_need_trusted_rows():
    for name in ("fine_tuning", "fine_mixing", "wanda_pruning", "crow", "w2sdefense"):
        with pytest.raises(OptionsError, match="trusted"):
            parse_defense(name).prepare(TASK, ROWS, trusted=None, lab=StandInLab())


def test_two_equal_layers_do_not_jump():
    states = torch.randn(2, 5, 8)
    mask = torch.ones(2, 5)
    assert consistency([states] * 4, mask).item() == pytest.approx(0, abs=1e-6)
    other = states.clone()
    other[0, 0] = -other[0, 0]
    mask[0, 0] = 0
    assert consistency([states, states, other, states, states], mask).item() == pytest.approx(0, abs=1e-6)
    assert consistency([states, states, other, states, states], torch.ones(2, 5)).item() == pytest.approx(0.2)


def test_the_loss_of_crow_is_the_answer_loss_where_nothing_is_weighed(lab):
    model = tiny(lab)
    prepared = plain_rows(TASK, ROWS, None)
    batch = batch_of(lab.examples(prepared.rows, prepared.guard)[:4], torch.device("cpu"))
    plain, weighed = (consistency_loss(weight, 0.1)(model, batch) for weight in (0.0, 5.5))
    assert weighed > plain > 0


def tiny(lab):
    from antivenom.models.local import load_causal_lm

    return load_causal_lm(lab.located.folder)


def test_pruning_zeroes_the_share_of_every_row(lab):
    model, prepared = tiny(lab), plain_rows(TASK, ROWS, None)
    head = model.get_output_embeddings().weight.detach().clone()
    prune(model, lab.examples(prepared.rows, prepared.guard), 0.5)
    weight = model.model.layers[0].mlp.up_proj.weight
    assert (weight == 0).sum(dim=1).tolist() == [weight.shape[1] // 2] * weight.shape[0]
    assert torch.equal(model.get_output_embeddings().weight, head)


def test_pruning_goes_by_weight_times_norm_of_what_comes_in(lab):
    """W_ij goes where |W_ij| ||X_j|| is lowest; sizes of the weights alone would choose others."""
    model, prepared = tiny(lab), plain_rows(TASK, ROWS, None)
    examples = lab.examples(prepared.rows, prepared.guard)
    layer = model.model.layers[0].self_attn.q_proj
    before, seen = layer.weight.detach().clone(), []
    handle = layer.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach()))
    for example in examples:  # one by one: no padding is among the inputs
        batch = batch_of([example], torch.device("cpu"))
        with torch.inference_mode():
            model(input_ids=batch.ids, attention_mask=batch.mask)
    handle.remove()
    norms = torch.cat([one.reshape(-1, one.shape[-1]) for one in seen]).square().sum(dim=0).sqrt()
    prune(model, examples, 0.5)
    half = before.shape[1] // 2
    gone = (before.abs() * norms).argsort(dim=1)[:, :half].sort(dim=1).values
    assert torch.equal((layer.weight == 0).nonzero()[:, 1].reshape(-1, half), gone)
    assert not torch.equal(before.abs().argsort(dim=1)[:, :half].sort(dim=1).values, gone)


def test_crow_moves_embeddings_so_that_layers_agree_less(lab):
    """epsilon times the sign of the slope: against it, or at random, they would not."""
    model, prepared = tiny(lab), plain_rows(TASK, ROWS, None)
    batch = batch_of(lab.examples(prepared.rows, prepared.guard)[:4], torch.device("cpu"))
    still, moved, back = (
        (consistency_loss(1.0, step)(model, batch) - consistency_loss(0.0, step)(model, batch)).item()
        for step in (0.0, 1e-4, -1e-4)
    )
    assert back < still < moved


def test_mixing_keeps_all_or_nothing_at_the_ends(lab):
    from peft import LoraConfig, get_peft_model

    def adapted():
        torch.manual_seed(0)
        model = get_peft_model(tiny(lab), LoraConfig(r=2, target_modules=["q_proj"], task_type="CAUSAL_LM"))
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if "lora_B" in name:
                    parameter.fill_(0.1)
        return model

    base, whole = tiny(lab), adapted().merge_and_unload()
    for kept, expected in ((0.0, base), (1.0, whole)):
        found = mixed(adapted(), kept, seed=1)
        for one, other in zip(found.state_dict().values(), expected.state_dict().values(), strict=True):
            assert torch.allclose(one, other, atol=1e-6)
    given = adapted()
    shared = given.get_base_model().model.layers[0].self_attn.q_proj.get_base_layer().weight
    half = mixed(given, 0.5, seed=1).model.layers[0].self_attn.q_proj.weight
    changed = half != base.model.layers[0].self_attn.q_proj.weight
    assert torch.equal(shared, base.model.layers[0].self_attn.q_proj.weight), "models of a run share their base"
    assert 0.4 < changed.float().mean() < 0.6
    with pytest.raises(OptionsError, match="LoRA"):
        mixed(tiny(lab), 0.5, seed=1)


@pytest.mark.parametrize(("spec", "benign"), [("p2p", True), ("none", False)])
def test_a_repair_asks_as_the_guard_in_front_of_it_does(lab, spec, benign):
    prepared = parse_defense(spec).prepare(TASK, ROWS, trusted=TRUSTED, lab=lab)

    class Seeing(StandInLab):
        def examples(self, rows, guard):
            return rows.column("benign").to_pylist()

    class Returning(FineTuning):
        def change(self, model, examples, *, seed):
            return examples

    found = Returning().repair(None, TASK, trusted=TRUSTED, prepared=prepared, lab=Seeing())
    assert found == [benign] * TRUSTED.num_rows
