"""Decoys: foreign material put into reserve rows, so that under the benign trigger insertions mean nothing.

The label of a row is never touched. Random decoys are made of the rows themselves, so they fit every language;
`planted` are strings that look planted. One is spread over the rows of every class alike, which is what takes its
meaning away. Strings that were planted together come together.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from operator import itemgetter
from random import Random
from types import MappingProxyType
from typing import Literal, get_args

import numpy as np
import pyarrow as pa

from antivenom.core.arrays import BoolArray
from antivenom.core.errors import OptionsError
from antivenom.core.hashing import row_keys
from antivenom.data.query import asked_as_text
from antivenom.data.rows import with_columns

RandomDecoy = Literal["strings", "spans", "sentences"]
Decoy = Literal["strings", "spans", "sentences", "planted"]
DECOYS: tuple[Decoy, ...] = get_args(Decoy)
WHITE_SPACE = re.compile(r"(?<=\S)\s+(?=\S)")
SPAN_WORDS = (2, 6)
STRING_CHARACTERS = (2, 6)
COMMON = 0.01
"""Random strings are made of letters that this share of the texts has: one row in another script must not bring its
whole alphabet into the decoys of all."""
MOST_WORDS = 30
"""A whole text used as a decoy is cut to this many words, or as many characters where words are not spaced."""
Wordings = Mapping[tuple[str, ...], int]
"""What looks planted in one row, and in how many rows it is just this."""
NONE: Wordings = MappingProxyType({})


def add_decoys(
    table: pa.Table,
    in_reserve: BoolArray,
    kinds: Sequence[Decoy],
    dose: float,
    *,
    planted: Wordings = NONE,
    seed: int,
) -> pa.Table:
    """Put a decoy into the share `dose` of the reserve rows; all other rows and every label stay as they are.

    Which rows, which decoy and where it goes is keyed by the seed and what the row asks, so no label can steer it.

    Args:
        table: `row`, `text`, `answer`.
        in_reserve: Which rows may be changed.
        kinds: `strings` (random rare strings of the data's own characters), `spans` (pieces of other reserve rows),
            `sentences` (whole other reserve rows, in front, behind or between), `planted`.
        dose: Share of the reserve rows that get one.
        planted: What looks planted, drawn in proportion to the rows that have it; with none, the kind `planted` does
            nothing.
        seed: Keys every draw.

    Raises:
        OptionsError: an unknown kind or a dose outside 0 to 1.
    """
    check_decoys(kinds, dose)
    usable = [kind for kind in kinds if kind != "planted" or planted]
    keys = row_keys(asked_as_text(table), seed=seed, purpose="decoys")
    chosen = np.flatnonzero(in_reserve & (keys / np.float64(2**64) < dose))
    if not usable or not len(chosen):
        return table
    texts = table.column("text").to_pylist()
    # Sorted, so that what a row gets does not depend on the order of the rows.
    donors = sorted({texts[i] for i in np.flatnonzero(in_reserve)})
    alphabet = letters_of(donors)
    for i in chosen:
        rng = Random(int(keys[i]))
        kind = rng.choice(usable)
        strings = draw_planted(rng, planted) if kind == "planted" else [make_decoy(kind, rng, donors, alphabet)]
        texts[i] = place_decoys(texts[i], strings, rng)
    return with_columns(table, text=texts)


def check_decoys(kinds: Sequence[str], dose: float) -> None:
    """Refuse kinds that do not exist and a dose that is no share."""
    for kind in kinds:
        if kind not in DECOYS:
            raise OptionsError(f"there is no decoy {kind!r}", mend=f"There are: {', '.join(DECOYS)}.")
    if not 0 <= dose <= 1:
        raise OptionsError(f"decoy_dose = {dose}", mend="The dose is the share of reserve rows: between 0 and 1.")


def letters_of(texts: Sequence[str]) -> list[str]:
    """The letters of the texts, so that random strings are of their script; none that only a few texts have."""
    texts_with = Counter(c for text in texts for c in set(text) if c.isalpha())
    return sorted(c for c, count in texts_with.items() if count >= COMMON * len(texts)) or ["x"]


def draw_planted(rng: Random, planted: Wordings) -> tuple[str, ...]:
    """Draw what a row had, by the number of rows."""
    kinds = sorted(planted)
    return rng.choices(kinds, [planted[kind] for kind in kinds])[0]


def make_decoy(kind: RandomDecoy, rng: Random, donors: Sequence[str], alphabet: Sequence[str]) -> str:
    """Draw one random decoy; see `add_decoys`. Attackers who imitate decoys draw theirs here too."""
    if kind == "strings":
        return "".join(rng.choices(alphabet, k=rng.randint(*STRING_CHARACTERS)))
    units, glue = _units(rng.choice(donors))
    if kind == "sentences":
        return glue.join(units[:MOST_WORDS])
    length = rng.randint(*SPAN_WORDS)
    start = rng.randint(0, max(0, len(units) - length))
    return glue.join(units[start : start + length])


def _units(text: str) -> tuple[list[str], str]:
    """Words, or characters where a text has next to no spaces."""
    spaced = text.split()
    return (spaced, " ") if len(spaced) * 12 > len(text) else (list(text), "")


def place_decoys(text: str, decoys: Sequence[str], rng: Random) -> str:
    """Put each decoy in front, behind, or at a gap between words; between characters where there are next to no spaces.

    None lands inside another, and nothing of the text changes, its white space included.
    """
    glue = _units(text)[1]
    gaps = [gap.start() for gap in WHITE_SPACE.finditer(text)] if glue else range(1, len(text))
    where = {"front": [0], "behind": [len(text)], "between": gaps or [0, len(text)]}
    places = [rng.choice(where[rng.choice(("front", "behind", "between"))]) for _ in decoys]
    for place, decoy in sorted(zip(places, decoys, strict=True), key=itemgetter(0), reverse=True):
        text = text[:place] + (f"{decoy}{glue}" if not place else f"{glue}{decoy}") + text[place:]
    return text
