"""Strong associations that may be honest: words that mean their label or stand with others too, and small groups.

The most associated rows of a class are kept out because poison whose labels are right hides among them. A trigger works
because it goes with its label whatever else a text says. Words of which a good part of the rows has another label
("and", "bad") cannot be one: those rows teach that they decide nothing. Where words define a class ("how many" asks for
a number) these are also its most typical honest rows. The referee tells the two apart. It was taught few or none of the
rows with such a strongest feature; if it is much less sure of the label once the words are taken out, it knows from
elsewhere what they mean. A trigger means its label only to a model that was trained on it, unless it is made of words
that say the label. Then the rest of its rows says another one, so the rest must say the label more than other texts do.
(Where a trigger has got into the reserve in many rows, this excuses it as well: its rows are taught already.)
"""

from __future__ import annotations

from itertools import compress, pairwise

import numpy as np
import pyarrow as pa

from antivenom.core.arrays import BoolArray, Floats, Ints
from antivenom.core.hashing import row_keys
from antivenom.data.query import asked_as_text
from antivenom.data.rows import with_columns
from antivenom.defenses.standard.referee import DOUBTED, opinions
from antivenom.models.lab import Fitted
from antivenom.screening.association import Association
from antivenom.screening.features import every_kind
from antivenom.screening.ranking import place_in_group
from antivenom.screening.scope import scope
from antivenom.screening.screen import Screening
from antivenom.screening.spans import ABOUT_AS_STRONG, covered, is_word
from antivenom.screening.tokens import Tokens, words

MEANS = 0.2
"""Words mean their label where taking them out costs it so much of the referee's share on average. Those of triggers
that say nothing cost up to 0.05, "how many" costs 0.46 (research/log.md)."""
ASKED_OF_EACH = 32
"""So many rows of each group show it: the mean is then known to about 0.07."""
LEAST_ASKED = 8
MORE_THAN_ELSEWHERE = 3.0
"""By so many standard errors the rest of a text has to say its label more than texts of other labels do."""
SMALL_GROUP = 0.01
LEAST_GROUP = 8
"""A group with a smaller share of all rows, or of ten times its class if that is less (see `scope`), is no danger: of
relabeled rows the referee lets an eighth in, and poison with right labels does not take from so few (results/attacks,
results/dose). One of fewer rows than `LEAST_GROUP` never is, as far as its share of all rows goes."""


def in_small_groups(screening: Screening) -> BoolArray:
    """The rows whose strongest feature is that of few rows: see `SMALL_GROUP`.

    Of a class with at least a tenth of all rows that is 1 % of all rows; of a smaller one at most a tenth of the class.
    """
    group, rows = _groups(screening), len(screening.classes)
    sizes = np.bincount(screening.classes)
    bounds = np.array([max(SMALL_GROUP * scope(int(size), rows), LEAST_GROUP) for size in sizes])
    bounds = np.minimum(bounds, SMALL_GROUP * rows)
    small: BoolArray = np.bincount(group)[group] < bounds[screening.classes]
    return small


def undecided(screening: Screening, share: float) -> BoolArray:
    """The rows none of whose strong features goes with their label alone (`EXCLUSIVE` in `screening/screen.py`).

    A feature is strong where its z is at least the largest of the share `share` of the rows of the class. Rows of one
    group count with the least z among them, so that the bound never falls inside a group: of a trigger in more rows
    than that share, those with the lesser z (each row is left out of its own evidence) would pass for undecided.
    """
    group = _groups(screening)
    least = np.full(group.max(initial=0) + 1, np.inf)
    np.minimum.at(least, group, screening.strongest)
    strong = np.zeros(int(screening.classes.max(initial=0)) + 1)
    for code in np.unique(screening.classes):
        strong[code] = np.quantile(least[group[screening.classes == code]], 1 - share)
    found: BoolArray = screening.exclusive < strong[screening.classes]
    return found


def meant(
    table: pa.Table, screening: Screening, kept_out: BoolArray, referee: Fitted, elsewhere: Floats, *, seed: int
) -> BoolArray:
    """Those of the rows `kept_out` whose strongest feature means their label to a referee that was not taught it.

    That is, without its words the referee is less sure of the label by `MEANS` on average, and yet finds it possible,
    or likelier than in texts of other labels: in n texts by `MORE_THAN_ELSEWHERE` times sqrt(b / n), b being the share
    that it gives the label in those.

    Of each group of rows with the same class and strongest feature, up to `ASKED_OF_EACH` are asked about with and
    without the words of their strongest features. What is no word (a template, a shape) or stands in an earlier turn
    cannot be taken out; a group of which fewer than `LEAST_ASKED` can be asked about for that reason stays kept out.

    Args:
        table: The rows that were screened.
        screening: What the screen found in them.
        kept_out: Which rows to judge.
        referee: Was fine-tuned on none of them.
        elsewhere: `Verdict.elsewhere`.
        seed: The secret seed: keys which rows of a group are asked about.
    """
    group = _groups(screening)
    some = _some_of_each(table, group, kept_out, seed)
    rows = table.take(pa.array(some))
    whole, cut, possible = _take_out(rows.column("text"), some, screening.association)
    if not possible.any():
        return np.zeros_like(kept_out)
    some, rows = some[possible], rows.filter(pa.array(possible))
    with_words, without = (
        opinions(with_columns(rows, text=list(compress(texts, possible))), referee) for texts in (whole, cut)
    )
    own = np.arange(len(some)), screening.classes[some]
    asked = np.bincount(group[some], minlength=group.max() + 1)
    lost, left = (np.bincount(group[some], share[own], len(asked)) for share in (with_words - without, without))
    chance = np.bincount(group[some], elsewhere[screening.classes[some]], len(asked))
    least = np.minimum(DOUBTED / without.shape[1] * asked, chance + MORE_THAN_ELSEWHERE * np.sqrt(chance))
    means = (lost >= MEANS * asked) & (left >= least)
    found: BoolArray = kept_out & (means & (asked >= LEAST_ASKED))[group]
    return found


def _groups(screening: Screening) -> Ints:
    """The number of each row's group: those of its class with the same strongest feature."""
    _, group = np.unique(np.stack([screening.classes, screening.feature]), axis=1, return_inverse=True)
    return group.reshape(-1)


def _some_of_each(table: pa.Table, group: Ints, wanted: BoolArray, seed: int) -> Ints:
    """Up to `ASKED_OF_EACH` of the wanted rows of each group, drawn by a keyed hash of the text."""
    rows = np.flatnonzero(wanted)
    keys = row_keys(asked_as_text(table), seed=seed, purpose="meaning")[rows]
    rows = rows[np.argsort(keys, kind="stable")]
    return np.sort(rows[place_in_group(group[rows]) < ASKED_OF_EACH])


def _take_out(texts: pa.ChunkedArray, rows: Ints, association: Association) -> tuple[list[str], list[str], BoolArray]:
    """Each text as the words it is made of, the same without those of its strongest features, and where that worked.

    All features about as strong as the strongest are taken out, if they are words: of a planted sentence every part.

    Args:
        texts: Some of the texts behind the association.
        rows: Which.
        association: How strongly features go with labels.
    """
    tokens, count = words(texts, seed=association.vocabulary.seed), len(texts)
    found = [(grams, association.of_own(grams, rows)[1]) for grams in every_kind(texts, association.vocabulary)]
    strongest = np.zeros(count)
    for grams, z in found:
        np.maximum.at(strongest, grams.row, z)
    gone = covered(tokens, [(grams, z >= ABOUT_AS_STRONG * strongest[grams.row]) for grams, z in found])
    shown = is_word(tokens)
    taken, left = (np.bincount(tokens.row[shown & kept], minlength=count) for kept in (gone, ~gone))
    return _joined(tokens, shown, count), _joined(tokens, shown & ~gone, count), (taken > 0) & (left > 0)


def _joined(tokens: Tokens, kept: BoolArray, rows: int) -> list[str]:
    ends = np.cumsum(np.bincount(tokens.row[kept], minlength=rows))
    names = [tokens.names[symbol] for symbol in tokens.symbol[kept]]
    return [" ".join(names[start:end]) for start, end in pairwise([0, *ends])]
