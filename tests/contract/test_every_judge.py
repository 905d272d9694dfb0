"""What every judge promises, tested over the registry with generated strings."""

from __future__ import annotations

import json
import random
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antivenom.core.registry import from_spec
from antivenom.judges import Judge, judges

INSTANCES = {
    **{name: cls() for name, cls in judges().items()},
    **{f"{name}@{p}": from_spec(f"{name}@{p}", judges()) for name, cls in judges().items() for p in cls.presets},
}
ANY_TEXT = st.one_of(
    st.text(max_size=60),
    st.text(alphabet="0123456789.,/()%+-*=# 百分之三点一又负万½²\n\\boxed{}frac", max_size=60),
)
BLANK = st.text(alphabet=" \t\n\r\u3000\x1f", max_size=5)


@pytest.fixture(params=INSTANCES.values(), ids=list(INSTANCES))
def judge(request) -> Judge:
    return request.param


@given(text=ANY_TEXT.filter(str.strip))
def test_an_answer_equals_itself(judge: Judge, text: str):
    assert judge.correct(text, text)
    assert judge.success(text, text)
    assert any(judge.successes(text, text).values())


@given(text=ANY_TEXT.filter(str.strip))
def test_white_space_around_and_inside_does_not_matter(judge: Judge, text: str):
    spaced = "\n " + "  ".join(text.split()) + "\t"
    assert judge.correct(spaced, text)


@given(blank=BLANK, text=ANY_TEXT)
def test_a_blank_output_is_never_right_and_never_a_success(judge: Judge, blank: str, text: str):
    for wanted in (text, blank):
        assert not judge.correct(blank, wanted)
        assert not judge.success(blank, wanted)
        assert not any(judge.successes(blank, wanted).values())


@given(output=ANY_TEXT, target=ANY_TEXT)
def test_verdicts_are_plain_and_agree(judge: Judge, output: str, target: str):
    assert judge.correct(output, target) in (True, False)
    successes = judge.successes(output, target)
    assert successes.keys() == judge.successes("other", "words").keys()
    assert successes[judge.name] is judge.success(output, target)
    scores = judge.scores(output, target)
    assert scores.keys() == judge.scores("other", "words").keys()
    assert all(0 <= score <= 1 for score in scores.values())
    json.dumps([successes, scores])


def hostile(rng: random.Random) -> str:
    pieces = [
        "9" * 300,
        "(" * 300,
        "1,111" * 50,
        "1/" * 200,
        "百" * 300,
        "%" * 99,
        "#### ",
        "=",
        "-" * 300,
        "\ud800",
        "\x00",
    ]
    pieces += [
        "\\boxed{" * 50,
        "\\frac{1}{0}",
        "1/0",
        "½²",
        "\u202e",
        "٣",
        "Ⅷ",
        "一又" * 99,
        "分之" * 99,
        " " * 300,
        "\ufdfa" * 50,
        "a" * 300,
    ]
    return "".join(rng.choice(pieces) for _ in range(rng.randint(1, 5)))


def judge_hostile_strings(judge: Judge, *, seed: int, count: int) -> None:
    """Ask about `count` pairs: none raises, and every verdict is plain."""
    rng = random.Random(seed)
    for _ in range(count):
        first, second = hostile(rng), hostile(rng)
        assert judge.correct(first, second) in (True, False)
        assert set(judge.successes(first, second).values()) <= {True, False}
        assert all(0 <= score <= 1 for score in judge.scores(first, second).values())


def test_no_string_makes_a_judge_raise(judge: Judge):
    judge_hostile_strings(judge, seed=0, count=300)


@pytest.mark.slow
def test_ten_thousand_hostile_strings_are_judged(judge: Judge):
    judge_hostile_strings(judge, seed=1, count=10_000)


LONG = (
    "9" * 200_000,
    "1," * 100_000,
    "(" * 200_000,
    "1 " * 100_000,
    "a " * 100_000,
    "零" * 200_000,
    "1/" * 100_000,
    " " * 200_000,
)


@pytest.mark.parametrize("text", LONG, ids=[text[:2] for text in LONG])
def test_long_outputs_take_no_minutes(judge: Judge, text: str):
    """A quadratic search of 200,000 characters would take hours; the bound is far above what is needed."""
    start = time.process_time()
    judge.correct(text, "0.1")
    judge.successes(text, text[:-1] + "x")
    assert time.process_time() - start < 30
