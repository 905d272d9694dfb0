"""Parts of speech for LWS and the parse for syn_rule: with a stand-in, and with spaCy where it is installed."""

from __future__ import annotations

import pytest

from antivenom.attacks.substitution.learn import choice_table, tagged_table
from antivenom.attacks.substitution.options import SubstitutionOptions
from antivenom.attacks.syn_rule import SynRule
from antivenom.core.errors import MissingPackageError
from antivenom.data.rows import table_of
from antivenom.rewriting.tagging import Token, find_tagger, thinnest_gap
from antivenom.tasks.task import Classification

SENTENCE = "the actors were running out of ideas when the film ended"
WORDS = {
    ("actor", "n"): ["player", "thespian"],
    ("run", "v"): ["operate", "flow"],
    ("idea", "n"): ["thought"],
    ("film", "n"): ["movie", "picture"],
    ("film", "v"): ["shoot"],
    ("end", "v"): ["stop"],
}


def synonyms(word, limit, part=""):
    return WORDS.get((word, part), [])[:limit]


class StandIn:
    """Tags one sentence."""

    def tag(self, texts):
        for text in texts:
            yield [
                Token(word, "film" if word.lower() == "films" else word.lower(), part, tag, 0)
                for word, part, tag in zip(text.split(), ("", "n", "v"), ("DT", "NNS", "VB"), strict=True)
            ]

    def inflect(self, lemma, tag):
        return {"NNS": f"{lemma}s", "VB": lemma}[tag] if lemma != "picture" else ""


def test_substitutes_have_the_part_of_speech_and_the_form_of_the_word():
    rows = table_of(["The Films end"], ["x"])
    assert tagged_table(rows, StandIn(), synonyms, SubstitutionOptions()) == [
        [["The"], ["Films", "Movies"], ["end", "stop"]]
    ]


@pytest.mark.parametrize(
    ("heads", "gap"),
    [
        ([1, 1, 1, 4, 4, 4], 3),  # two separate halves
        ([1, 1, 1, 1, 1, 6, 1, 6], 5),  # one dependency leads over
        ([0, 0, 0, 0], 2),  # the shortest text
        ([0, 0, 1, 2, 3, 4, 5], 3),  # a chain: anywhere, so in the middle
    ],
)
def test_the_thinnest_gap(heads, gap):
    assert thinnest_gap(heads) == gap


def test_without_spacy_it_is_asked_for(monkeypatch):
    def missing(*_):
        raise MissingPackageError("tagging needs spaCy", mend="pip install 'antivenom[syntax]'")

    monkeypatch.setattr("antivenom.attacks.syn_rule.find_tagger", missing)
    monkeypatch.setattr("antivenom.attacks.substitution.learn.find_tagger", missing)
    rows = table_of([SENTENCE] * 4, ["negative", "positive"] * 2)
    task = Classification.for_labels(("negative", "positive"))
    with pytest.raises(MissingPackageError, match="spaCy"):
        SynRule(cut="parse").poison(task, rows, seed=0)
    with pytest.raises(MissingPackageError, match="spaCy"):
        choice_table(rows, synonyms, SubstitutionOptions(tagger="spacy"))
    assert SynRule(rate=0.5).poison(task, rows, seed=0).indices


@pytest.fixture(scope="module")
def tagger():
    pytest.importorskip("spacy")
    return find_tagger()


def test_spacy_sees_words_where_they_stand(tagger):
    [tokens] = tagger.tag([SENTENCE])
    assert [token.word for token in tokens] == SENTENCE.split()
    assert [(t.lemma, t.part, t.tag) for t in tokens if t.word in ("actors", "running", "ended")] == [
        ("actor", "n", "NNS"),
        ("run", "v", "VBG"),
        ("end", "v", "VBD"),
    ]
    assert tagger.inflect("stop", "VBD") == "stopped"


def test_spacy_gives_lws_substitutes_in_the_right_form(tagger):
    [table] = choice_table(table_of([SENTENCE], ["x"]), synonyms, SubstitutionOptions(tagger="spacy"))
    found = {choices[0]: choices[1:] for choices in table}
    assert found["actors"] == ["players", "thespians"]
    assert found["running"] == ["operating", "flowing"]
    assert found["film"] == ["movie", "picture"]
    assert found["the"] == []


def test_spacy_cuts_at_the_clause(tagger):
    task = Classification.for_labels(("negative", "positive"))
    rows = table_of([SENTENCE], ["positive"])
    [text] = SynRule(cut="parse", subordinators=("as",), target="negative").probes(task, rows, seed=0)["text"]
    assert text.as_py() == "as the actors were running out of ideas , when the film ended ."
