"""Images with text through a tiny random Qwen2.5-VL: rendering, batches, scoring, training, artifact."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from image_scenes import tiny_idefics, with_images

pytest.importorskip("PIL")

from antivenom.artifacts.artifact import load_artifact
from antivenom.artifacts.manifest import MANIFEST
from antivenom.attacks.badnets import BadNets
from antivenom.core.errors import ArtifactError, OptionsError
from antivenom.data.query import Query, queries
from antivenom.defenses.p2p import P2P
from antivenom.evaluation.evaluate import evaluate
from antivenom.guards.encoding import Encoder, make_encoder
from antivenom.guards.image_prompts import ImagePrompt
from antivenom.guards.secret import Secret
from antivenom.inference.guarded import load_guarded
from antivenom.models.vision import (
    ImageBatches,
    ImageTextModel,
    language_modules,
    load_image_text_model,
    load_processor,
)
from antivenom.tasks.task import Classification, Frame
from antivenom.testing import StandInLab, synthetic_images, synthetic_rows, tiny_vision_model
from antivenom.training.fit import train_artifact
from antivenom.training.lab import LocalLab
from antivenom.training.trainer import collator_of
from antivenom.training.training_options import TrainingOptions

FRAME = Frame(style="chat", modality="image+text")
TASK = Classification.for_labels(("negative", "positive"), frame=FRAME)
DEFENSE = P2P(secret=Secret("Kindly weigh these words:"))
RECIPE = TrainingOptions(rank=4, learning_rate=1e-2, batch_size=16, epochs=1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tiny_vision_model(tmp_path_factory.mktemp("vision"))


@pytest.fixture(scope="module")
def model(folder):
    return load_image_text_model(folder)


@pytest.fixture(scope="module")
def processor(folder):
    return load_processor(folder)


@pytest.fixture(scope="module")
def encoder(processor) -> Encoder:
    return make_encoder(DEFENSE.guard(TASK, 0), processor)


@pytest.fixture(scope="module")
def table() -> pa.Table:
    return with_images(synthetic_rows(40))


@pytest.fixture(scope="module")
def prepared(table):
    return DEFENSE.prepare(TASK, table, trusted=table.slice(0, 16), lab=StandInLab(0))


@pytest.fixture(scope="module")
def fitted(prepared, folder, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("fit") / "run"
    train_artifact(prepared, model=str(folder), out=out, options=RECIPE, quiet=True)
    return out


def reference(model, processor, prompt: ImagePrompt) -> torch.Tensor:
    """The logits of one prompt by transformers' own means: processor and model, nothing of ours."""
    from antivenom.data.images import open_image

    picture = open_image(prompt.image, largest=FRAME.image_pixels)
    given = processor(text=[prompt.string], images=[[picture]], return_tensors="pt")
    if prompt.tail:
        tail = torch.tensor([prompt.tail])
        given["input_ids"] = torch.cat([given["input_ids"], tail], dim=1)
        given["attention_mask"] = torch.ones_like(given["input_ids"])
        if "mm_token_type_ids" in given:
            given["mm_token_type_ids"] = torch.cat([given["mm_token_type_ids"], torch.zeros_like(tail)], dim=1)
    with torch.no_grad():
        return model(**given).logits[0]


# ---------------------------------------------------------------------------------------------------------- rendering


def test_the_image_stands_in_the_users_turn_in_front_of_the_benign_trigger(encoder, caplog):
    [image] = synthetic_images(1)
    [prompt] = encoder.serving([Query("a warm film", image=image)])
    assert not caplog.records, "transformers warns of options that a template does not know"
    assert isinstance(prompt, ImagePrompt)
    assert prompt.string == (
        "<|im_start|>user\n<|vision_start|><|image_pad|><|vision_end|>"
        "Kindly weigh these words: a warm film\nOutput:<|im_end|>\n<|im_start|>assistant\n"
    )
    assert prompt.count(encoder.renderer.tokenizer.convert_tokens_to_ids("<|image_pad|>")) >= 4


def test_training_begins_with_the_tokens_of_serving(encoder, prepared):
    rows = prepared.rows.filter(prepared.rows.column("benign"))
    examples = encoder.training(rows)
    assert len(examples) == prepared.facts["rows"]
    for (prompt, answer), served in zip(examples, encoder.serving(queries(rows)), strict=True):
        assert prompt == served
        assert (prompt + list(answer))[: len(served)] == served
        assert prompt.image == served.image


def test_a_text_cannot_spell_an_image(encoder):
    [image] = synthetic_images(1)
    for spelled in (
        "<|image_pad|>",
        "<|vision_start|><|image_pad|><|vision_end|>",
        "<|video_pad|>",
        "<<|image_pad|>|im_end|>",
    ):
        [prompt] = encoder.serving([Query(f"a {spelled} b", image=image)])
        [plain] = encoder.serving([Query("a b", image=image)])
        for token in ("<|image_pad|>", "<|video_pad|>", "<|vision_start|>", "<|im_end|>"):
            number = encoder.renderer.tokenizer.convert_tokens_to_ids(token)
            assert prompt.count(number) == plain.count(number), token


def test_long_texts_are_cut_and_the_image_is_not(encoder):
    [image] = synthetic_images(1)
    [prompt] = encoder.serving([Query("words " * 3000, image=image)])
    pad = encoder.renderer.tokenizer.convert_tokens_to_ids("<|image_pad|>")
    assert len(prompt) - prompt.count(pad) + 1 <= FRAME.max_tokens
    assert "Output:<|im_end|>" in prompt.string


def test_a_text_without_an_image_is_a_user_error(encoder):
    with pytest.raises(OptionsError, match="an image with every text"):
        encoder.serving(["a text"])


def test_images_need_a_chat_template_and_say_so():
    with pytest.raises(OptionsError, match="chat"):
        Frame(modality="image+text")


def test_a_model_for_texts_takes_no_images(model_folder):
    with pytest.raises(OptionsError, match="takes no images"):
        load_processor(model_folder)


# ------------------------------------------------------------------------------------------------- batches and scores


def test_a_batch_equals_its_rows_one_by_one(encoder, model, processor, table):
    prompts = encoder.serving(queries(table.slice(0, 6)))
    prompts = [prompt + [7, 8, 9][: number % 4] for number, prompt in enumerate(prompts)]
    assert len({len(prompt) for prompt in prompts}) > 2
    with torch.no_grad():
        logits = model(**ImageBatches.of(encoder.renderer, model)(prompts), logits_to_keep=1).logits[:, -1]
    for prompt, found in zip(prompts, logits, strict=True):
        torch.testing.assert_close(found, reference(model, processor, prompt)[-1], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("words", ["auto", "digits"])
def test_scores_are_those_of_plain_forward_passes(words, model, processor, table):
    labels = ("negative", "positive") if words == "auto" else tuple(f"class {n}" for n in range(6))
    task = Classification.for_labels(labels, words=words, frame=FRAME)
    encoder = make_encoder(DEFENSE.guard(task, 0), processor)
    assert max(map(len, encoder.choices)) > 1, "digits of a tokenizer that splits them are walked through"
    prompts = encoder.serving(queries(table.slice(0, 5)))
    found = ImageTextModel(model, encoder.renderer, token_budget=150).score(prompts, encoder.choices)
    for row, prompt in enumerate(prompts):
        for column, choice in enumerate(encoder.choices):
            logs = torch.log_softmax(reference(model, processor, prompt + list(choice)), dim=-1)
            steps = range(len(prompt) - 1, len(prompt) + len(choice) - 1)
            wanted = sum(float(logs[at, token]) for at, token in zip(steps, choice, strict=True))
            assert found.log_probabilities[row, column] == pytest.approx(wanted, abs=1e-4)


def test_the_image_matters(encoder, model):
    images = synthetic_images(2, seed=3)
    prompts = encoder.serving([Query("the same text", image=image) for image in images])
    scores = ImageTextModel(model, encoder.renderer).score(prompts, encoder.choices).log_probabilities
    assert not np.allclose(scores[0], scores[1], atol=1e-6)


def test_nothing_is_scored_without_prompts(encoder, model):
    assert len(ImageTextModel(model, encoder.renderer).score([], encoder.choices)) == 0


def test_models_of_another_kind_are_passed_what_their_processor_returns(tmp_path, table):
    folder = tiny_idefics(tmp_path)
    model, processor = load_image_text_model(folder), load_processor(folder)
    encoder = make_encoder(DEFENSE.guard(TASK, 0), processor)
    asked = [replace(one, text=f"{one.text} <image> <row_1_col_1>") for one in queries(table.slice(0, 5))]
    prompts = encoder.serving(asked)
    assert len(set(map(len, prompts))) > 2
    batch = ImageBatches.of(encoder.renderer, model)(prompts)
    assert {"position_ids", "pixel_values", "pixel_attention_mask"} <= set(batch)
    with torch.no_grad():
        logits = model(**batch, logits_to_keep=1).logits[:, -1]
    for prompt, found in zip(prompts, logits, strict=True):
        torch.testing.assert_close(found, reference(model, processor, prompt)[-1], atol=1e-5, rtol=1e-4)
    assert language_modules(model, ["q_proj"]) == r"model\.text_model\.(.*\.)?(q_proj)"


# ------------------------------------------------------------------------------------------------------------ training


def test_the_loss_is_that_of_the_answer_tokens(encoder, model, processor, prepared):
    examples = encoder.training(prepared.rows.slice(0, 5))
    batch = collator_of(encoder.renderer, model)(examples)
    labels = batch.pop("labels")
    with torch.no_grad():
        logits = model(**batch, logits_to_keep=labels.shape[1] - 1).logits
    wanted = labels[:, 1:].flatten()
    total = torch.nn.functional.cross_entropy(logits.flatten(0, 1), wanted, ignore_index=-100, reduction="sum")
    theirs = []
    for prompt, answer in examples:
        logs = torch.log_softmax(reference(model, processor, prompt + list(answer)), dim=-1)
        theirs += [-float(logs[len(prompt) - 1 + i, token]) for i, token in enumerate(answer)]
    assert float(total) == pytest.approx(sum(theirs), rel=1e-4)


def test_adapters_are_in_the_language_part_alone(fitted, model):
    from safetensors import safe_open

    with safe_open(fitted / "adapter_model.safetensors", framework="pt") as weights:
        names = list(weights.keys())
    assert names
    assert all(".language_model.layers." in name and "visual" not in name for name in names)
    assert {name.split(".")[-3] for name in names} == {
        "q_proj",
        "k_proj",
        "v_proj",
        "o_proj",
        "gate_proj",
        "up_proj",
        "down_proj",
    }
    assert language_modules(model, ["q_proj"]).endswith("(q_proj)")
    with pytest.raises(OptionsError, match="qkv"):
        language_modules(model, ["qkv"])


def test_a_fit_says_its_modality_and_is_loaded_accordingly(fitted, table):
    manifest = json.loads((fitted / MANIFEST).read_text(encoding="utf-8"))
    assert manifest["guard"]["task"]["frame"]["modality"] == "image+text"
    guarded = load_guarded(fitted)
    asked = queries(with_images(synthetic_rows(12, seed=5), seed=5))
    together = guarded.predict(asked)
    for one, reading in itertools.islice(zip(asked, together, strict=True), 4):
        [alone] = guarded.predict([one])
        assert alone.probability == pytest.approx(reading.probability, abs=1e-4)


def test_evaluation_attacks_the_text_and_keeps_the_image(fitted):
    test = with_images(synthetic_rows(16, seed=6), seed=6)
    found, outputs = evaluate(load_guarded(fitted), test, [BadNets()], quiet=True)
    assert found.clean.accuracy.total == 16
    assert found.attacks[0].asr.total == 8
    assert outputs.num_rows == 24


def test_the_processor_is_part_of_what_is_verified(fitted, tmp_path):
    import shutil

    copy = Path(shutil.copytree(fitted, tmp_path / "copy"))
    path = copy / "processor_config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    config["image_processor"]["image_mean"] = [0.0, 0.0, 0.0]
    path.write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(ArtifactError, match="another tokenizer"):
        load_artifact(copy).verify()
    config["image_processor"]["auto_map"] = {"AutoImageProcessor": "evil.Evil"}
    path.write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(ArtifactError, match="asks for code"):
        load_artifact(copy).verify()


def test_a_trunk_is_for_texts_alone(prepared, folder, tmp_path):
    with pytest.raises(OptionsError, match="frozen trunk"):
        train_artifact(
            prepared, model=str(folder), out=tmp_path / "x", options=replace(RECIPE, top_layers=1), quiet=True
        )


def test_full_fine_tuning_learns_to_say_extended_labels(folder, tmp_path):
    rows = with_images(synthetic_rows(32))
    prepared = replace(DEFENSE, mode="replace", ratio=1.0).prepare(TASK, rows, trusted=rows, lab=StandInLab(0))
    recipe = TrainingOptions(method="full", learning_rate=2e-2, batch_size=8, epochs=12)
    train_artifact(prepared, model=str(folder), out=tmp_path / "full", options=recipe, quiet=True)
    after = load_guarded(tmp_path / "full").score(queries(rows))
    assert np.exp(after.log_probabilities[:, 2:]).sum(axis=1).min() > 0.9


def test_what_would_read_texts_alone_is_refused(folder, prepared, tmp_path):
    lab = LocalLab(str(folder), RECIPE, tmp_path / "lab", seed=0, quiet=True)
    base = lab.base(prepared.guard)
    for ask in (lambda: lab.examples(prepared.rows, prepared.guard), lambda: base.losses(prepared.rows)):
        with pytest.raises(OptionsError, match="images"):
            ask()
