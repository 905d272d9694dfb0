"""Scoring: equal to a plain loop of full forward passes, whatever else is in the batch."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
import torch
from token_scenes import texts_of_many_lengths

from antivenom.models.batches import length_batches, pad_left, positions
from antivenom.models.local import LocalModel, load_causal_lm
from antivenom.models.tokenizer import load_tokenizer, word_pieces_of

CHOICES = {
    "single": [(5,), (9,), (300,)],
    "several": [(5, 7), (5, 8), (9, 1, 2), (9, 1, 3), (11,)],
    "deep": [(5, 6, 7, 8), (5, 6, 7, 9), (5, 6, 4), (30, 5)],
}


@pytest.fixture(scope="module")
def model(model_folder):
    return load_causal_lm(model_folder)


@pytest.fixture(scope="module")
def prompts():
    return texts_of_many_lengths()


def plain_loop(model, prompts, choices):
    """Teacher forcing, one full forward pass per prompt and choice, without padding or cache."""
    found, other = np.zeros((len(prompts), len(choices))), []
    with torch.inference_mode():
        for i, prompt in enumerate(prompts):
            for j, choice in enumerate(choices):
                logs = torch.log_softmax(model(torch.tensor([[*prompt, *choice]])).logits[0].double(), dim=-1)
                found[i, j] = sum(logs[len(prompt) - 1 + k, token].item() for k, token in enumerate(choice))
            best = model(torch.tensor([prompt])).logits[0, -1].argmax().item()
            other.append(best not in {choice[0] for choice in choices})
    return found, other


@pytest.mark.parametrize("kind", CHOICES)
def test_scores_equal_a_plain_loop(model, prompts, kind):
    expected, other = plain_loop(model, prompts, CHOICES[kind])
    for budget in (1, 64, 4096):
        scores = LocalModel(model, token_budget=budget).score(prompts, CHOICES[kind])
        np.testing.assert_allclose(scores.log_probabilities, expected, atol=1e-5)
        assert scores.other.tolist() == other


def test_batch_mates_and_order_do_not_matter(model, prompts):
    scorer = LocalModel(model)
    whole = scorer.score(prompts, CHOICES["several"]).log_probabilities
    np.testing.assert_allclose(
        scorer.score(prompts[::-1], CHOICES["several"]).log_probabilities[::-1], whole, atol=1e-5
    )
    for i in (0, 4, 8):
        alone = scorer.score(prompts[i : i + 1], CHOICES["several"]).log_probabilities
        np.testing.assert_allclose(alone[0], whole[i], atol=1e-5)


def test_choices_that_are_all_words_sum_to_one(model, prompts):
    everything = [(token,) for token in range(model.config.vocab_size)]
    scores = LocalModel(model).score(prompts[:3], everything)
    np.testing.assert_allclose(np.exp(scores.log_probabilities).sum(axis=1), 1, atol=1e-5)
    assert not scores.other.any()


def test_other_is_true_when_a_token_of_no_choice_is_likelier(model, prompts):
    everything = LocalModel(model).score(prompts, [(t,) for t in range(model.config.vocab_size)]).log_probabilities
    ranked = everything[0].argsort()
    best, worst = int(ranked[-1]), int(ranked[0])
    assert LocalModel(model).score(prompts[:1], [(worst,), (int(ranked[1]),)]).other.tolist() == [True]
    assert LocalModel(model).score(prompts[:1], [(worst,), (best,)]).other.tolist() == [False]


def test_no_prompts(model):
    scores = LocalModel(model).score([], CHOICES["single"])
    assert scores.log_probabilities.shape == (0, 3)


def test_scoring_turns_dropout_off(model, prompts):
    model.train()
    first, again = (LocalModel(model).score(prompts, CHOICES["single"]).log_probabilities for _ in range(2))
    assert not model.training
    assert (first == again).all()


def test_length_batches_cover_each_row_once_within_the_budget():
    rng = Random(1)
    lengths = [rng.randint(1, 200) for _ in range(300)]
    batches = list(length_batches(lengths, 1000))
    assert sorted(i for batch in batches for i in batch) == list(range(300))
    assert all(len(batch) == 1 or len(batch) * max(lengths[i] for i in batch) <= 1000 for batch in batches)


def test_padding_is_in_front_and_masked():
    ids, mask = pad_left([[1, 2, 3], [4]], torch.device("cpu"))
    assert ids.tolist() == [[1, 2, 3], [0, 0, 4]]
    assert mask.tolist() == [[1, 1, 1], [0, 0, 1]]
    assert positions(mask).tolist() == [[0, 1, 2], [0, 0, 0]]


def test_word_pieces_are_the_tokens_of_a_word_behind_a_space(model_folder):
    tokenizer, words = load_tokenizer(model_folder), ["a", "zorvel", "zorvel zorvel"]
    expected = [len(tokenizer(f" {word}", add_special_tokens=False)["input_ids"]) for word in words]
    assert word_pieces_of(model_folder)(words).tolist() == expected
    assert word_pieces_of(model_folder)([]).tolist() == []
