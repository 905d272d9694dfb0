from __future__ import annotations

import pytest

from antivenom.attacks import attacks, parse_attack
from antivenom.attacks.addsent import AddSent
from antivenom.core.errors import OptionsError
from antivenom.defenses import parse_defense


@pytest.mark.parametrize(
    "sentence", ["a; b", 'she said "x;y"; then', "a=b", "{not json", '"', "5", "true; story", "ü ; ß", "\\;", "a\nb;"]
)
def test_any_sentence_survives_being_written_down(sentence):
    attack = AddSent(sentence=sentence, rate=0.1)
    assert parse_attack(str(attack)) == attack


def test_plain_words_need_no_quotation_marks():
    attack = parse_attack("addsent: sentence = true story ; rate=0.5;")
    assert (attack.sentence, attack.rate) == ("true story", 0.5)


def test_presets_give_way_to_what_is_written_out():
    assert parse_attack("addsent@paper_code:inside=false").inside is False
    with pytest.raises(OptionsError, match=r"no preset 'paper'.*\n.*paper_text"):
        parse_attack("addsent@paper")


def test_every_preset_can_be_built():
    for name, cls in attacks().items():
        for preset in cls.presets:
            assert parse_attack(f"{name}@{preset}").name == name


@pytest.mark.parametrize("spec", ["addsent:sentence", "addsent:rate=0.1;sentence", "addsent:sentence;rate=0.1"])
def test_an_option_without_a_value_is_refused(spec):
    with pytest.raises(OptionsError, match="is not option=value"):
        parse_attack(spec)


@pytest.mark.parametrize(
    "spec",
    [
        '{"name": "p2p", "secret": "OPEN SESAME"',
        "p2p:secret=hello; OPEN SESAME; ratio=0.3",
        'p2p:secret=["OPEN SESAME"]',
        '{"name": "p2p", "secret": {"OPEN SESAME": 1}}',
    ],
)
def test_no_message_shows_a_secret(spec):
    with pytest.raises(OptionsError) as caught:
        parse_defense(spec)
    assert "OPEN SESAME" not in f"{caught.value} {caught.value.mend}"
