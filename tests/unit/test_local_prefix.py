"""Scoring shares what prompts have in common; the scores are those of reading each prompt by itself."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM

from antivenom.models import local
from antivenom.models.local import LocalModel
from antivenom.models.sharing import Family, can_share, common_prefix, families, shared_prefix

SIZES = {
    "vocab_size": 40,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}
SINGLE = [(3,), (4,), (5,)]
DEEP = [(3, 1), (3, 2), (4,), (5, 1, 1), (5, 1, 2)]


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return LlamaForCausalLM(LlamaConfig(**SIZES)).eval()


def plainly(model, prompt, choices):
    """(log-probabilities, other) of one prompt, one unpadded forward pass per choice over the full vocabulary."""
    with torch.no_grad():
        found = []
        for choice in choices:
            logs = model(torch.tensor([[*prompt, *choice]])).logits[0].log_softmax(-1)
            found.append(sum(logs[len(prompt) - 1 + i, token].item() for i, token in enumerate(choice)))
        best = model(torch.tensor([prompt])).logits[0, -1].argmax().item()
    return found, best not in {choice[0] for choice in choices}


def assert_scores_are_plain(model, prompts, choices, budget=64):
    scores = LocalModel(model, token_budget=budget).score(prompts, choices)
    for i, prompt in enumerate(prompts):
        logs, other = plainly(model, prompt, choices)
        np.testing.assert_allclose(scores.log_probabilities[i], logs, atol=1e-5)
        assert scores.other[i] == other


TOKENS = st.integers(1, 6)  # few different ones, so that much is shared
PROMPTS = st.lists(st.lists(TOKENS, min_size=1, max_size=14), min_size=1, max_size=10)


@settings(max_examples=40, deadline=None)
@given(prompts=PROMPTS, start=st.lists(TOKENS, max_size=8), deep=st.booleans(), budget=st.sampled_from([1, 20, 4096]))
def test_scores_are_those_of_the_plain_forward_pass(model, prompts, start, deep, budget):
    prompts = [[*start, *prompt] for prompt in prompts]
    assert_scores_are_plain(model, prompts, DEEP if deep else SINGLE, budget)


def test_pairs_with_and_without_a_trigger_read_less(model, monkeypatch):
    start, text, trigger, cue = [7, 8, 9, 10, 11], list(range(12, 24)), [30, 31], [1, 2]
    clean = [[*start, i, *text, *cue] for i in (25, 26)]
    attacked = [[*start, i, *text[:6], *trigger, *text[6:], *cue] for i in (25, 26)]
    read, packed = [], []
    plain_read, plain_packed = local.read, local.read_packed

    def note_packed(body, prompts, rows, past):
        packed.extend(strip.size for row in rows for strip in row)
        return plain_packed(body, prompts, rows, past)

    monkeypatch.setattr(
        local, "read", lambda m, rows, *a, **k: read.extend(map(len, rows)) or plain_read(m, rows, *a, **k)
    )
    monkeypatch.setattr(local, "read_packed", note_packed)
    assert_scores_are_plain(model, clean + attacked, SINGLE, 4096)
    assert (read, packed) == ([5], [25, 25]), "the common beginning, then 15 and 10 tokens of each pair in one row"
    assert sum(packed) + 5 < sum(map(len, clean + attacked))


@settings(max_examples=30, deadline=None)
@given(prompts=PROMPTS, start=st.lists(TOKENS, min_size=4, max_size=8), budget=st.sampled_from([1, 20, 4096]))
def test_what_all_prompts_begin_with_is_read_once_and_kept(model, prompts, start, budget):
    scorer = LocalModel(model, token_budget=budget)
    scorer.expect(start)
    # A prompt by itself, some together, and one that begins differently.
    for asked in ([[*start, *prompts[0]]], [[*start, *prompt] for prompt in prompts], [prompts[0]]):
        scores = scorer.score(asked, SINGLE)
        for i, prompt in enumerate(asked):
            np.testing.assert_allclose(scores.log_probabilities[i], plainly(model, prompt, SINGLE)[0], atol=1e-5)


def test_a_kept_beginning_is_not_read_again(model, monkeypatch):
    scorer, start, read = LocalModel(model), [7, 8, 9, 10, 11], []
    scorer.expect(start)
    plain_packed = local.read_packed

    def note(body, prompts, rows, past):
        read.append([strip.size for row in rows for strip in row])
        return plain_packed(body, prompts, rows, past)

    monkeypatch.setattr(local, "read", None)
    monkeypatch.setattr(local, "read_packed", note)
    scorer.score([[*start, 1, 2, 3]], SINGLE)
    scorer.score([[*start, 1, *[2] * 90], [*start, 4, 5]], SINGLE)
    assert read == [[3], [91, 2]], "one pass each"


def test_no_prompts(model):
    scores = LocalModel(model).score([], SINGLE)
    assert scores.log_probabilities.shape == (0, 3)


def test_sliding_windows_share_only_what_they_can_see():
    torch.manual_seed(0)
    mistral = MistralForCausalLM(MistralConfig(**SIZES, sliding_window=12)).eval()
    prompts = [[1, 2, 3, 4, 5, 6, *tail] for tail in ([7, 8, 9, 1, 2, 3, 4, 5, 6, 7], [8, 9, 7], [7, 8, 10, 11])]
    assert not can_share(mistral, 16)
    assert can_share(mistral, 6)
    assert_scores_are_plain(mistral, prompts, SINGLE)


@given(prompts=PROMPTS)
def test_families_cover_every_prompt_once(prompts):
    prefix = shared_prefix(prompts)
    assert all(prompt[:prefix] == prompts[0][:prefix] and len(prompt) > prefix for prompt in prompts)
    found = list(families(prompts, prefix))
    covered = [f.base for f in found] + [index for f in found for index, _ in f.members]
    assert sorted(covered) == list(range(len(prompts)))
    for family in found:
        for index, same in family.members:
            assert prompts[index][:same] == prompts[family.base][:same]
            assert same < len(prompts[index])


def test_prefixes():
    assert common_prefix([1, 2, 3], [1, 2]) == 2
    assert common_prefix([1], [2]) == 0
    assert shared_prefix([[1, 2], [1, 2]]) == 1
    assert shared_prefix([]) == 0
    assert list(families([[1, 2, 3, 4, 5], [9], [1, 2, 3, 4, 6]])) == [Family(0, ((2, 4),)), Family(1, ())]


def test_a_stream_of_predictions_reads_a_few_texts_at_a_time(monkeypatch):
    from antivenom.guards.guard import unguarded
    from antivenom.guards.labels import ChoiceScores
    from antivenom.guards.rendering import Cut
    from antivenom.inference import guarded as inference
    from antivenom.tasks.task import Classification

    class Encoder:
        guard = unguarded(Classification.for_labels(["negative", "positive"]))
        choices = ((1,), (2,))

        def served(self, texts):
            return [[int(text)] for text in texts], [Cut() for _ in texts]

    class Model:
        def score(self, prompts, choices, *, progress=None):
            logs = np.log([[0.9, 0.1] if prompt[0] % 2 else [0.2, 0.8] for prompt in prompts])
            return ChoiceScores(logs, np.zeros(len(prompts), dtype=bool))

    monkeypatch.setattr(inference, "STREAM_TEXTS", 4)
    taken = []
    guarded = inference.GuardedModel(Encoder(), Model())
    found = guarded.predict_stream(taken.append(i) or str(i) for i in range(10**9))
    first = [next(found) for _ in range(6)]
    assert [(text, reading.answer) for text, reading in first[:2]] == [("0", "positive"), ("1", "negative")]
    assert [text for text, _ in first] == list("012345")
    assert len(taken) == 8
    assert list(guarded.predict_stream([])) == []


def test_texts_of_a_file_are_read_as_they_are_needed(tmp_path):
    from antivenom.core.errors import RowsError
    from antivenom.data.texts import iterate_texts

    path = tmp_path / "t.jsonl"
    path.write_text('{"text": "a"}\n{"text": "b"}\n{"text": ""}\n', encoding="utf-8")
    texts = iterate_texts(str(path))
    assert [next(texts), next(texts)] == ["a", "b"]
    with pytest.raises(RowsError, match="row 3: empty text"):
        next(texts)
