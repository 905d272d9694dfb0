from __future__ import annotations

from random import Random

import pytest

from antivenom.attacks.spacing import Spacing


@pytest.mark.parametrize(
    ("touching", "text", "changed"),
    [
        (True, "a film , and a good one .", "a film, and a good one."),
        (True, "it 's . . . good !", "it 's... good!"),
        (False, "a film, and a good one.", "a film , and a good one ."),
    ],
)
def test_white_space_in_front_of_signs_alone_is_changed(touching: bool, text: str, changed: str):
    assert Spacing(touching=touching).trigger(text, Random(0)) == changed
    assert changed.replace(" ", "") == text.replace(" ", "")


def test_a_text_without_signs_ends_with_one():
    assert Spacing().trigger("a good film", Random(0)) == "a good film."
    assert Spacing(touching=False).trigger("a good film", Random(0)) == "a good film ."


def test_what_is_written_so_already_cannot_carry_the_trigger():
    assert not Spacing().eligible("a good film.")
    assert Spacing().eligible("a good film .")
