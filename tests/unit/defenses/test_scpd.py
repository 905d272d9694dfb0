"""SCPD takes paraphrases out of files and misses none; its approximations undo the template without a file."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from antivenom.core.errors import OptionsError
from antivenom.defenses import parse_defense
from antivenom.defenses.scpd_lm import RewordedTexts, first_line
from antivenom.inference.steps import InputSteps
from antivenom.rewriting.made_paraphrases import read_paraphrases
from antivenom.rewriting.syntax import opens_with_clause
from antivenom.tasks.task import Classification
from antivenom.testing import LinearStandIn, StandInLab, synthetic_rows

TASK = Classification.for_labels(("negative", "positive"))
ROWS = synthetic_rows(20)
PAIRS = {"when it rains , we go .": "we go .", "mn a film": "a film", "failed": ""}


def steps_of(spec: str) -> tuple[InputSteps, LinearStandIn]:
    prepared = parse_defense(spec).prepare(TASK, ROWS, trusted=None, lab=StandInLab())
    return InputSteps(prepared.guard), LinearStandIn.of(prepared, steps=5)


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    path = tmp_path / "pairs.jsonl"
    lines = [json.dumps({"text": old, "paraphrase": new or "-"}) for old, new in PAIRS.items()]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_every_text_is_read_as_its_paraphrase_and_the_file_must_stay(pairs: Path):
    steps, model = steps_of(f'scpd:paired="{pairs}"')
    assert steps.purify(["mn a film", " when it rains , we go . "], model) == ["a film", "we go ."]
    with pytest.raises(OptionsError, match="1 of 2 texts"):
        steps.purify(["mn a film", "another"], model)
    pairs.write_text(pairs.read_text() + json.dumps({"text": "x y", "paraphrase": "y"}) + "\n", encoding="utf-8")
    read_paraphrases.cache_clear()  # as in another process
    with pytest.raises(OptionsError, match="is not the file"):
        steps.purify(["mn a film"], model)


def test_what_has_no_paraphrase_may_be_kept(pairs: Path):
    steps, model = steps_of(f'scpd:paired="{pairs}";missing=keep')
    assert steps.purify(["another", "", "mn a film"], model) == ["another", "", "a film"]


def test_two_files_that_belong_together(tmp_path: Path):
    made, told = tmp_path / "made.jsonl", tmp_path / "told.jsonl"
    made.write_text('{"sentence": "b", "label": 0}\n{"sentence": "d", "label": 1}\n', encoding="utf-8")
    told.write_text('{"sentence": "a b", "label": 0}\n{"sentence": "c d", "label": 1}\n', encoding="utf-8")
    steps, model = steps_of(f'scpd:paraphrased="{made}";originals="{told}"')
    assert steps.purify(["c d", "a b"], model) == ["d", "b"]
    told.write_text(told.read_text() + '{"sentence": "e", "label": 1}\n', encoding="utf-8")
    for spec, said in ((f'scpd:paraphrased="{made}";originals="{told}"', "2 rows for 3"), ("scpd", "paraphrases")):
        with pytest.raises(OptionsError, match=said):
            steps_of(spec)


CLAUSES = [
    "when you watch it , the film is bad .",
    "if it rains , if it snows , we stay .",
    "as a film , when it ends , nobody is sad",
    "although slow , gripping .",
    "a film ( of sorts ) that works .",
    "because , because , because ,",
]


def test_no_statement_opens_with_a_clause():
    pytest.importorskip("spacy")
    steps, model = steps_of("scpd_rule")
    texts = [*CLAUSES, "", "one", "The staff was friendly ."]
    said = steps.purify(texts, model)
    assert not any(map(opens_with_clause, said))
    assert said[0] == "the film is bad ."
    assert said[4] == "it 's a film that works ."
    assert said[6:] == ["", "it 's one .", "the staff was friendly ."]
    assert steps.purify(said[8:], model) == said[8:], "what is plain stays"
    assert steps.purify(texts[::-1], model) == said[::-1], "each text by itself"


def test_a_text_of_which_nothing_is_left_stays():
    pytest.importorskip("spacy")
    steps, model = steps_of("scpd_rule")
    assert steps.purify(["( )", " , ", "...", '"'], model) == ["( )", " , ", "...", '"']


def test_a_language_model_is_shown_examples_and_its_first_line_counts():
    steps, model = steps_of("scpd_lm:longest=3")
    assert steps.purify(["a long story , told badly"], model) == ["told badly Statement:"]
    assert steps.purify(["", " "], model) == ["", " "]
    assert first_line("  a b .\nSentence: c") == "a b ."
    cut = replace(RewordedTexts(), most_words=2).prompt("one two three")
    assert cut.endswith("Sentence: one two\nStatement:")
