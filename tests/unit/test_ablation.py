"""The ablation changes what it says, and nothing else."""

from dataclasses import fields

import pytest
from benchmarks.ablation import ATTACKS, BESIDE, CHANGES, defense_of, name_of
from benchmarks.attack_strength import TASK

from antivenom.defenses.standard import Standard


@pytest.mark.parametrize("changed", CHANGES)
def test_one_part_is_changed(changed: str):
    base, other = Standard().p2p(TASK), defense_of(changed)
    different = {f.name for f in fields(base) if getattr(base, f.name) != getattr(other, f.name)}
    assert different == set(CHANGES[changed])
    goes_along = {
        "refusal_limit",
        "choose_twice",
        "correct_suspects",
    }  # nor these, without a referee
    assert len(different - goes_along) == 1 or different <= goes_along
    assert bool(different) == (changed != "nothing")


def test_published_p2p_is_the_preset():
    assert defense_of("P2P as published").to_dict()["reserve"] == "random"
    assert defense_of("undefended").name == "none"


def test_every_cell_has_a_record_of_its_own():
    names = {name_of(attack, changed) for attack in ATTACKS for changed in (*BESIDE, *CHANGES)}
    assert len(names) == len(ATTACKS) * (len(BESIDE) + len(CHANGES))
    assert all(name.replace("-", "").isalnum() for name in names)
