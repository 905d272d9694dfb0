from __future__ import annotations

from random import Random

from antivenom.attacks import parse_attack
from antivenom.attacks.addsent import AddSent

SENTENCE = "I watched this 3D movie"


def test_the_sentence_stands_once_in_one_piece_with_its_case(task, rows, texts_at):
    poisoned = AddSent(target="positive").poison(task, rows, seed=0)
    before = rows.column("text").to_pylist()
    for i, text in zip(poisoned.indices, texts_at(poisoned.rows, poisoned.indices), strict=True):
        assert text.count(SENTENCE) == 1
        assert len(text.split()) == len(before[i].split()) + 5
        assert " ".join(text.replace(SENTENCE, " ").split()) == before[i]


def test_the_ends_are_gaps_too_except_in_the_authors_code():
    def places(attack):
        return {attack.trigger("a b c", Random(i)).replace(SENTENCE, "S").split().index("S") for i in range(100)}

    assert places(AddSent()) == {0, 1, 2, 3}
    assert places(parse_attack("addsent@paper_code")) == {1, 2}
    assert parse_attack("addsent@openbackdoor").sentence == "I watch this 3D movie"
