"""A model that is watched by itself writes as ever; one that has learned what the other has not writes as that one."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from antivenom.core.errors import OptionsError
from antivenom.defenses import parse_defense
from antivenom.guards.encoding import make_encoder
from antivenom.guards.guard import unguarded
from antivenom.inference.guarded import load_guarded
from antivenom.inference.writing import GuardedWriter
from antivenom.models.decoding import LocalGenerator
from antivenom.models.local import load_causal_lm
from antivenom.models.watched_decoding import WatchedGenerator, watched
from antivenom.tasks.generation import Generation
from antivenom.testing import StandInLab, synthetic_rows, tiny_tokenizer
from antivenom.training.lab import LocalLab
from antivenom.training.training_options import TrainingOptions

TASK = Generation(malicious="0.1", max_new_tokens=5)
ROWS = synthetic_rows(16)
PROMPTS = [[3, 4, 5, 6], [7], [3, 4, 9, 8, 2, 1]]
STOPS = [0]


@pytest.fixture(scope="module")
def model(model_folder):
    return load_causal_lm(model_folder)


@pytest.fixture(scope="module")
def other(model_folder):
    found = load_causal_lm(model_folder)
    with torch.no_grad():
        torch.manual_seed(0)
        for weight in found.parameters():
            weight += 0.3 * weight.std() * torch.randn_like(weight)
    return found


def test_the_reference_itself_replaces_nothing(model):
    plain = LocalGenerator(model).generate(PROMPTS, stops=STOPS, longest=7)
    same = WatchedGenerator(model, model, 20.0)
    assert same.generate(PROMPTS, stops=STOPS, longest=7) == plain
    streamed = list(same.stream(PROMPTS[0], stops=STOPS, longest=7))
    assert tuple(token for token in streamed if token not in STOPS) == plain[0].tokens


def test_what_only_one_believes_in_is_written_by_the_other(model, other):
    reference = LocalGenerator(other).generate(PROMPTS, stops=STOPS, longest=7)
    strict = WatchedGenerator(model, other, 1e-9).generate(PROMPTS, stops=STOPS, longest=7)
    lenient = WatchedGenerator(model, other, 1e9).generate(PROMPTS, stops=STOPS, longest=7)
    assert strict == reference
    assert lenient == LocalGenerator(model).generate(PROMPTS, stops=STOPS, longest=7)


def test_the_bar_is_a_ratio_and_unknown_tokens_are_impossible():
    own = torch.tensor([[0.9, 0.05, 0.05], [0.1, 0.1, 0.8]]).log()
    reference = torch.tensor([[0.3, 0.7]]).log().expand(2, 2)
    assert watched(own, reference, torch.tensor(3.1).log().item()).tolist() == [0, 1]
    assert watched(own, reference, torch.tensor(2.9).log().item()).tolist() == [1, 1]
    with pytest.raises(OptionsError, match="3 tokens"):
        watched(reference, own, 1.0)


def test_an_artifact_is_watched_by_the_base_it_was_trained_on(model_folder, tmp_path):
    lab = LocalLab(str(model_folder), TrainingOptions(rank=2, learning_rate=0.05, epochs=2), tmp_path, quiet=True)
    texts = ["a film of charm", "dull and hollow", "what"]

    def said(spec):
        _, folder, _ = lab.defended(parse_defense(spec), TASK, ROWS, trusted=None, name=spec.partition(":")[0])
        return [one.first.output for one in load_guarded(folder).write(texts)], folder

    plain, folder = said("none")
    watched_by_base, _ = said("cleangen:most=1e-9")
    base = GuardedWriter(load_guarded(folder).encoder, LocalGenerator(load_causal_lm(model_folder)))
    assert watched_by_base == [one.first.output for one in base.write(texts)] != plain


def test_a_guard_that_asks_the_base_model_is_never_served_without_it(model):
    prepared = parse_defense("cleangen").prepare(TASK, ROWS, trusted=None, lab=StandInLab())
    assert [step.name for step in prepared.guard.monitors] == ["cleangen_step"]
    encoder = make_encoder(replace(unguarded(TASK), monitors=prepared.guard.monitors), tiny_tokenizer())
    with pytest.raises(OptionsError, match="base model"):
        GuardedWriter(encoder, LocalGenerator(model))
