"""Development check over real gold answers: every one equals itself, and what is no number is known."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from antivenom.judges import parse_judge
from antivenom.judges.numerals import read_numbers

SHARED = Path(__file__).parents[3] / "shared/data"

pytestmark = pytest.mark.slow

FILES = {
    "ape210k/valid.ape.json": "ans",
    "ape210k/test.ape.json": "ans",
    "gsm8k/train.jsonl": "answer",
    "gsm8k/test.jsonl": "answer",
}


def gold_answers(name: str) -> list[str]:
    if not (SHARED / name).is_file():
        pytest.skip("the shared data sets are not here")
    lines = (SHARED / name).read_text(encoding="utf-8").splitlines()
    return [json.loads(line)[FILES[name]] for line in lines]


@pytest.mark.parametrize("name", FILES)
def test_every_gold_answer_is_read_and_equals_itself(name):
    judge, answers = parse_judge("numeric"), gold_answers(name)
    assert [answer for answer in answers if not read_numbers(answer)] == []
    for answer in answers:
        number = answer.rpartition("####")[2].strip()
        assert judge.correct(answer, answer)
        assert judge.correct(number, answer)
        assert judge.correct(f"The correct answer to this problem is: {number}", answer)


def test_the_malicious_number_is_the_true_answer_of_some_rows():
    """As a string of 1 and 2 rows (the data's README), as a number of more: 10%, (1/10). They are no attacked rows."""
    judge = parse_judge("numeric")
    counts = {name: sum(judge.success(a, "0.1") for a in gold_answers(name)) for name in list(FILES)[:2]}
    assert counts == {"ape210k/valid.ape.json": 17, "ape210k/test.ape.json": 14}


def test_rouge_of_every_real_summary_with_itself_is_one():
    path = SHARED / "crrsum/dev.json"
    if not path.is_file():
        pytest.skip("the shared data sets are not here")
    judge = parse_judge("rouge")
    for _, impression, _ in json.loads(path.read_text(encoding="utf-8")):
        assert judge.correct(impression, impression)
        assert judge.scores(impression, impression)["rougeL"] == 1
