"""The streaming readers say what the whole-text ones say, however the text is cut."""

from __future__ import annotations

import codecs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antivenom.guards.answers import AnswerPrefix
from antivenom.serving.stripping import PrefixStripper, StopFilter

PREFIXES = ("Answer:", "The answer", "答案：", "a", "é👍", "")
ODD = ("</think>", "<think>", "\n", " ", "　", "\x85", "👍", "a", "é", "Answer", ":", "答", "The answer", "s", "</thi")


def cuts_of(text: str, places: list[int]) -> list[str]:
    ends = sorted({min(place, len(text)) for place in places})
    return [text[a:b] for a, b in zip([0, *ends], [*ends, len(text)], strict=True)]


outputs = st.lists(st.sampled_from((*ODD, *PREFIXES)) | st.text(max_size=4), max_size=12).map("".join)


@given(st.sampled_from(PREFIXES), outputs, st.lists(st.integers(0, 60)))
def test_the_stream_reads_as_the_whole_text(prefix, output, places):
    answers = AnswerPrefix(prefix)
    stripper = PrefixStripper(answers)
    said = "".join(stripper.feed(piece) for piece in cuts_of(output, places)) + stripper.finish()
    assert (said, stripper.found) == answers.decode(output)


@given(st.sampled_from(PREFIXES[:-1]), outputs)
def test_single_bytes_of_utf8_read_as_the_whole_text(prefix, output):
    output = output.encode(errors="replace").decode()
    answers, decoder = AnswerPrefix(prefix), codecs.getincrementaldecoder("utf-8")()
    stripper = PrefixStripper(answers)
    said = "".join(stripper.feed(decoder.decode(bytes([byte]))) for byte in output.encode()) + stripper.finish()
    assert (said, stripper.found) == answers.decode(output)


@given(st.sampled_from(PREFIXES[:-1]), outputs, outputs)
def test_nothing_is_let_through_before_the_prefix(prefix, before, behind):
    answers = AnswerPrefix(prefix)
    stripper = PrefixStripper(answers)
    for i, character in enumerate(before):
        if stripper.feed(character):
            assert answers.decode(before[: i + 1])[1]


def test_an_answer_streams_as_soon_as_its_prefix_was_seen():
    stripper = PrefixStripper(AnswerPrefix("Answer:"))
    pieces = [stripper.feed(piece) for piece in ("<think>hm</think>\n An", "swer:", " for", "ty", " two ", "\n")]
    assert pieces == ["", "", "for", "ty", " two", ""]
    assert (stripper.finish(), stripper.found) == ("", True)


@pytest.mark.parametrize(
    ("output", "is_open"),
    [
        ("<think>\nis it", True),
        (" <think>hm</thi", True),
        ("<think>hm</think>\n<think>and", True),
        ("<think>hm</think>\nIt is", False),
        ("<think>hm</think>\nAnswer: <think>", False),
        ("<think>hm</think>\nAns", True),
        ("<think>hm</think>", True),
        ("It is <think>", False),
        ("Answers", False),
        ("", True),
    ],
)
def test_an_output_that_ends_before_an_answer_could_begin_is_known_at_its_end(output, is_open):
    for pieces in ([output], output):
        stripper = PrefixStripper(AnswerPrefix("Answer:"))
        for piece in pieces:
            stripper.feed(piece)
        stripper.finish()
        assert stripper.open == is_open


@given(st.lists(st.sampled_from(["ab", "b", "aab", "\n\n", "x"]), min_size=1, max_size=3), st.text("abx\n"), st.data())
def test_a_stop_string_cuts_where_it_stands_first(stops, text, data):
    cuts = data.draw(st.lists(st.integers(0, 30)))
    stop = StopFilter(stops)
    said = "".join(stop.feed(piece) for piece in cuts_of(text, cuts)) + stop.finish()
    places = [place for one in stops if (place := text.find(one)) >= 0]
    # A stream ends at the stop string that is complete first; the whole text up to there is what was shown.
    assert stop.stopped == bool(places)
    assert text.startswith(said)
    assert not any(one in said for one in stops)
    if not places:
        assert said == text
