"""Attacks that others wrote against a version of `standard` that was fixed, before any of them was run against it.

Each module is named after the version that had not met its attacks. Later versions may have been changed because of
them.
"""

from antivenom.attacks import Attack
from benchmarks.held_out_attacks.unknown_to_17 import UNKNOWN_TO_17
from benchmarks.held_out_attacks.unknown_to_21 import UNKNOWN_TO_21
from benchmarks.held_out_attacks.unknown_to_23 import UNKNOWN_TO_23
from benchmarks.held_out_attacks.unknown_to_25 import UNKNOWN_TO_25
from benchmarks.held_out_attacks.unknown_to_26 import UNKNOWN_TO_26
from benchmarks.held_out_attacks.unknown_to_28 import UNKNOWN_TO_28
from benchmarks.held_out_attacks.unknown_to_29 import UNKNOWN_TO_29
from benchmarks.held_out_attacks.unknown_to_31 import UNKNOWN_TO_31

ATTACKS: dict[str, type[Attack]] = {
    attack.name: attack
    for attack in (
        *UNKNOWN_TO_17,
        *UNKNOWN_TO_21,
        *UNKNOWN_TO_23,
        *UNKNOWN_TO_25,
        *UNKNOWN_TO_26,
        *UNKNOWN_TO_28,
        *UNKNOWN_TO_29,
        *UNKNOWN_TO_31,
    )
}
