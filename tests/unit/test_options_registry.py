from __future__ import annotations

import json
from dataclasses import dataclass
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antivenom.attacks import parse_attack
from antivenom.attacks.addsent import AddSent
from antivenom.attacks.badnets import BadNets
from antivenom.core.console import printable
from antivenom.core.errors import AntivenomError, OptionsError
from antivenom.core.options import Options
from antivenom.defenses import parse_defense
from antivenom.defenses.p2p import P2P
from antivenom.evaluation.comparison import public_command
from antivenom.guards.secret import Secret

words = st.text(st.characters(codec="utf-8"), min_size=1).filter(str.strip)


@dataclass(frozen=True)
class Inner(Options):
    size: int = 1


@dataclass(frozen=True)
class Outer(Options):
    inner: Inner
    names: tuple[str, ...] = ()
    kind: ClassVar[str] = "outer"


def test_nested_options_round_trip_as_json():
    outer = Outer(Inner(3), ("a", "b"))
    assert Outer.from_dict(json.loads(json.dumps(outer.to_dict()))) == outer


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"inner": {}, "nmaes": []}, "unknown option 'nmaes'"),
        ({}, "option 'inner' is missing"),
        ({"inner": {"size": "many"}}, "inner.size = 'many'"),
        ({"inner": {"size": 1, "depth": 2}}, "unknown option 'inner.depth'"),
        ([], "value = []"),
        ({"inner": float("nan")}, "inner"),
        ({"inner": {"size": object()}}, "not JSON"),
    ],
)
def test_what_does_not_fit_is_named(data, said):
    with pytest.raises(OptionsError, match="Outer") as caught:
        Outer.from_dict(data)
    assert said in caught.value.what


def test_the_nearest_name_is_suggested():
    with pytest.raises(OptionsError, match="Did you mean 'badnets'"):
        parse_attack("badnet")


def test_an_unknown_option_lists_the_options():
    with pytest.raises(OptionsError, match="unknown option 'wrod'") as caught:
        parse_attack("badnets:wrod=mn")
    assert "rate, target, clean_label, mode, pick, word" in caught.value.mend


@pytest.mark.parametrize("spec", ["badnets:rate", "badnets:rate=0.1;word", "badnets:a;b=1"])
def test_a_pair_without_equals_is_refused(spec):
    with pytest.raises(OptionsError, match="is not option=value"):
        parse_attack(spec)


def test_an_option_given_twice_is_refused():
    with pytest.raises(OptionsError, match="'rate' is given twice"):
        parse_attack("badnets:rate=0.1;rate=0.2")


def test_words_need_no_quotes_and_numbers_may_name_labels():
    assert parse_attack("badnets: rate=0.1 ; target=1; word=c f").to_dict() == {
        **BadNets(rate=0.1, target="1", word="c f").to_dict()
    }


@given(words)
def test_specs_round_trip_whatever_the_sentence_holds(sentence):
    attack = AddSent(sentence=sentence, rate=0.5)
    assert parse_attack(str(attack)) == attack
    assert parse_attack(json.dumps(attack.to_dict())) == attack


@pytest.mark.parametrize("spec", ["{", '{"name": 3}', "[1]", "{}", '{"name": "badnets", "rate": 2}', "", ":", "=;="])
def test_broken_specs_are_user_errors(spec):
    with pytest.raises(AntivenomError):
        parse_attack(spec)


def test_secrets_stand_in_no_log():
    secret, cue = "the blue heron asks", "Heron:"
    defense = P2P(secret=Secret(secret, cue), cue="split", ratio=0.2)
    for shown in (str(defense), repr(defense), json.dumps(defense.public_dict())):
        assert secret not in shown
        assert cue not in shown
    assert defense.public_dict()["ratio"] == 0.2
    assert str(defense) == 'p2p:ratio=0.2;cue="split"'
    assert parse_defense(json.dumps(defense.to_dict())) == defense


def test_secrets_stand_in_no_message():
    with pytest.raises(OptionsError) as caught:
        parse_defense("p2p:secret=the blue heron; asks")
    assert "heron" not in str(caught.value)


@given(st.text(max_size=60))
def test_messages_can_be_printed(text):
    assert printable(text).isprintable()
    str(AntivenomError(text, mend=text)).encode("utf-8")


def test_messages_do_not_steer_a_terminal_or_flood_it():
    assert printable("a\x1b[31mb\ud800") == "a\\x1b[31mb\\ud800"
    assert len(printable("x" * 10**6)) < 3000


def test_a_recorded_command_names_no_path_of_this_machine(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert public_command(["x", "--data", str(tmp_path.parent / "data")]) == "x --data ../data"


@pytest.mark.parametrize("wrong", [{"reserve": "bogus"}, {"mode": "Union"}, {"others": ""}, {"placement": "suffix"}])
def test_a_constructor_refuses_a_choice_that_there_is_not(wrong):
    with pytest.raises(OptionsError, match=next(iter(wrong))) as caught:
        P2P(**wrong)
    assert "Choose one of" in caught.value.mend
