"""h(y) = [p; y] and its inverse."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antivenom.artifacts.manifest import MANIFEST, Manifest
from antivenom.core.errors import OptionsError
from antivenom.core.report import Report
from antivenom.data.rows import table_of
from antivenom.defenses.p2p import P2P
from antivenom.guards.answers import AnswerPrefix, split_thought
from antivenom.guards.labels import LabelMap
from antivenom.tasks.generation import Generation
from antivenom.tasks.task import Classification

P = AnswerPrefix("The answer is:")


@given(st.text(st.characters(codec="utf-8")))
def test_what_is_encoded_is_decoded(answer):
    assert P.decode(P.encode(answer)) == (P.decode(answer)[0], True)
    assert P.encode(P.encode(answer)) == P.encode(answer)
    assert AnswerPrefix("").encode(answer) == answer


def test_an_answer_without_prefix_is_an_escape():
    assert P.decode(" 0.1 \n") == ("0.1", False)
    assert P.decode("The answer is: 0.1") == ("0.1", True)
    assert P.decode("") == ("", False)
    assert P.decode("well, The answer is: 0.1") == ("well, The answer is: 0.1", False)


def test_a_prefix_does_not_end_within_a_word():
    plain = AnswerPrefix("The answer")
    assert plain.decode("The answers vary") == ("The answers vary", False)
    assert plain.decode("The answer: 4") == (": 4", True)
    assert plain.decode(plain.encode("s vary")) == ("s vary", True)


def test_a_prefix_with_white_space_around_it_is_refused():
    with pytest.raises(OptionsError, match="without white space around it"):
        Generation(answer_prefix=" Answer:")


def test_the_prefix_stands_behind_the_thought():
    said = "<think>\nlet me see\n</think>\n\n12"
    assert P.encode(said) == "<think>\nlet me see\n</think>\n\nThe answer is: 12"
    assert P.decode(P.encode(said)) == ("12", True)
    assert P.decode("let me see</think>\n7") == ("7", False)
    assert P.decode("The answer is: 5</think>\n7") == (
        "5</think>\n7",
        True,
    )  # said is said: a stream cannot take it back
    assert split_thought("no thought") == ("", "no thought")


def test_a_generation_task():
    task = Generation(malicious="0.1")
    assert task.classes is None
    assert task.target(None) == "0.1"
    assert task.target("other") == "other"
    assert Generation.from_dict(task.to_dict()) == task
    for name in ("judge", "malicious", "answer_prefix"):
        with pytest.raises(OptionsError, match=name):
            Generation(**{name: " "})
    with pytest.raises(OptionsError, match="max_new_tokens"):
        Generation(max_new_tokens=0)


def test_a_guard_needs_the_answers_of_its_task():
    labels = LabelMap.identity(Classification.for_labels(("negative", "positive")))
    with pytest.raises(OptionsError, match="other labels"):
        type(P2P().guard(Generation(), 0))(Generation(), labels)


def test_rows_that_already_say_the_prefix_are_pointed_out():
    report = Report()
    P2P().check(Generation(answer_prefix="Final:"), table_of(["a", "b"], ["FINAL: 3", "4"]), report)
    assert "answer already contains the answer prefix: 1 (row 1)" in str(report)


def test_manifests_from_before_free_answers_are_read(tmp_path):
    guard = P2P().guard(Classification.for_labels(("negative", "positive")), 0)
    manifest = Manifest.describe(guard, reserve={}, base_model=None, training={}, data={}, seed=0)
    data = manifest.to_dict()
    data["guard"]["labels"] = data["guard"].pop("answers")
    secret = data["guard"].pop("secret")
    data["guard"] |= {"benign_trigger": secret["trigger"], "cue": secret["cue"]}
    data["format_version"] = 1
    (tmp_path / MANIFEST).write_text(json.dumps(data))
    assert Manifest.read(tmp_path).guard == guard
