"""The screened reserve: of rows nobody vouches for, the least suspicious ones of every class.

Choosing beats detecting: P2P needs 20 to 30 % of the rows, so nothing has to be proved about any row; it is enough that
poisoned rows do not rank among the least suspicious. Two independent suspicions are ranked within each class:

- *association*: some feature of the row goes with its label more than other features do. A trigger has to: that is how
  the model learns it. Rows with the same strongest feature are at least as associated as their median, so that a
  trigger in up to about 45 % of a class is kept out of the reserve. Rows whose words contradict
  their label weigh more in that count, which lifts a trigger put into rows of another class far above ordinary label
  words, while those stay where they are.
- *doubt*: what the row's words say against its own label; what they say for it does not count, so an attacker cannot
  outvote them with other words. It finds relabeled rows whatever their trigger is, also one that no feature sees
  (a rewriting, a word of a large pool).

The score of a row is the larger of doubt's rank and `ASSOCIATION_SHARE` times association's rank. None of the most
associated rows is chosen until the reserve takes about half of a class, yet ordinary label words stay in it, because
rows of low doubt have several of them.

What an attacker who knows this can do, and what it costs:

1. Many triggers, each on a few rows: association sees none, doubt sees every relabeled row.
2. Clean-label poison: doubt sees nothing, but one shared trigger is the most one-sided feature of its class.
3. Both at once: rows leak about as in a random reserve, but each trigger has only a few rows to be learned from.
4. Relabelling only rows that say little (few words that contradict the new label): the leak grows, but there are few
   such rows, and association still sees what they share.
5. Flooding one class until most of it is poison: of rows with one strongest feature a harmless dose is chosen. With
   several triggers that together are most of a class, no choice within it helps; the evidence names them.
6. Making the poisoned training rows very long: the correction for length then forgives them some of their rank.

Every feature is counted by itself (`screening/feature_table.py`), so none can hide behind another; what is drawn, and
which of two equal things wins, is keyed by the secret seed.

How many rows each of these leaks is measured in results/archive/screen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from antivenom.core.arrays import BoolArray, Floats, Ints
from antivenom.data.query import whole_texts
from antivenom.data.sampling import label_codes, pair_keys, quota
from antivenom.screening.association import Association, associate, z_of
from antivenom.screening.feature_table import Block
from antivenom.screening.outputs import free_outputs, label_outputs
from antivenom.screening.ranking import STEPS, largest_of_each, place_in_group, ranks, ranks_beside
from antivenom.screening.scope import scope
from antivenom.screening.subword_splits import WordPieces, uncut

ASSOCIATION_SHARE = 0.7
"""How association's rank counts beside doubt's: at less, rare triggers leak; at 1 the label words leave the reserve."""
TOP = 20
"""A row is as associated as its strongest feature, and as its `TOP` strongest on average: a word, or a style."""
MOST = 0.5
"""A class most of whose rows have the same strongest feature is mostly poison, or defined by a word."""
MOST_POISONED = 0.15
"""A feature of a larger share of all rows is taken for honest, since so much poison would be hard to place. At 0.2
TREC's largest class, in which "what" is the strongest feature, was hardly learned (research/log.md)."""
EXCLUSIVE = 0.8
"""A feature of which this share of the other rows has the same output could be a trigger. Where more say something
else, they teach that it decides nothing."""
HARMLESS_DOSE = 0.005
"""The share of poison in a reserve that still teaches next to nothing (results/archive/dose)."""


@dataclass(frozen=True)
class Screening:
    """How suspicious each row is, and the tables that say why."""

    suspicion: Floats
    """What is chosen is what is lowest; a screen says at most 1."""
    associated: Floats
    """How strongly the row's features go with its output: its rank within its class, between 0 and 1."""
    association: Association
    classes: Ints
    """The class of each row; one class for free answers."""
    feature: Ints
    """The column of each row's strongest feature in the table of `association`; a negative number of its own for a row
    that has none which goes with its output."""
    strongest: Floats
    """How strongly that feature goes with the row's output: its z."""
    exclusive: Floats
    """The largest z of the row's features that hardly stand with another output (`EXCLUSIVE`), 0 where it has none."""


def screen(table: pa.Table, labels: Sequence[str] | None, word_pieces: WordPieces = uncut, *, seed: int) -> Screening:
    """Score the rows. No row is changed, and no order of the rows changes a score.

    Takes time and memory in proportion to the text: about ten numbers of four bytes for each of its words.

    Args:
        table: `text` and `answer`; a context counts as part of the text.
        labels: The labels, every answer being one of them; None when the answers are free text.
        word_pieces: How the tokenizer of the model to be trained cuts words, where there is one. It sees words that
            were made up or misspelled though each is new.
        seed: The secret seed: keys the hashes of features, and with them which of equally strong ones counts.
    """
    if labels is None:
        outputs = free_outputs(table.column("answer"), seed=seed)
    else:
        outputs = label_outputs(label_codes(table, labels), labels)
    texts = whole_texts(table)
    association = associate(texts, outputs, seed=seed, word_pieces=word_pieces)
    strongest, many, exclusive, feature = _row_scores(association)
    measures = (strongest, many, association.doubt)
    by_one, by_many, doubted = (ranks_beside(values, association.tokens, outputs.own) for values in measures)
    associated = _shared(np.maximum(by_one, by_many), feature)
    suspicion = np.maximum(ASSOCIATION_SHARE * associated, doubted if labels else 0)
    top = ranks(associated, outputs.own, ties="max")
    return Screening(suspicion, top, association, outputs.own, feature, strongest, exclusive)


def least_suspicious(
    table: pa.Table, screening: Screening, ratio: float, *, seed: int, avoid: float = 0.0, least: int = 0
) -> BoolArray:
    """The share `ratio` of every class with the lowest suspicion; of equal rows a keyed hash decides.

    Where most rows of a class have the same strongest feature, the class may be mostly poison, of which its quota would
    take some whatever the order. There no feature is the strongest of more than a harmless dose of the reserve
    (`HARMLESS_DOSE` of it, at least one row; the reserve of at most ten times the class, see `scope`), so that such a
    class may give fewer rows than its share.

    Args:
        table: The rows that were screened.
        screening: What the screen found in them.
        ratio: The share of each class.
        seed: The secret seed.
        avoid: The share of every class, those rows whose features go with its label most, that is taken last, whatever
            its suspicion.
        least: Where the share is fewer rows than this, the class gives as many, but no more than half of it.
    """
    keys = pair_keys(table, seed=seed, purpose="screen")
    chosen = np.zeros(table.num_rows, dtype=bool)
    for code in np.unique(screening.classes):
        members = np.flatnonzero(screening.classes == code)
        avoided = screening.associated[members] > 1 - avoid
        members = members[np.lexsort((keys[members], screening.suspicion[members], avoided))]
        size = max(quota(len(members), ratio), min(least, len(members) // 2))
        feature = screening.feature[members]
        if _may_be_flooded(feature, table.num_rows):
            dose = max(1, round(HARMLESS_DOSE * quota(scope(len(members), table.num_rows), ratio)))
            members = members[place_in_group(feature) < dose]
        chosen[members[:size]] = True
    return chosen


def _may_be_flooded(feature: Ints, rows: int) -> bool:
    """Whether most rows of a class have the same strongest feature, and so few of all rows that it may be a trigger."""
    largest = np.unique(feature, return_counts=True)[1].max()
    return bool(MOST * len(feature) < largest <= MOST_POISONED * rows)


def _row_scores(association: Association) -> tuple[Floats, Floats, Floats, Ints]:
    """Each row's strongest association, the mean of its `TOP` strongest, the strongest exclusive one, and which it is.

    The last is the column of the strongest feature, be it exclusive or not; of equals the highest.
    """
    table, count = association.table, len(association.weight)
    strongest, many, exclusive = (np.zeros(count) for _ in range(3))
    feature = -1 - np.arange(count)
    alone, numbers = association.mostly(EXCLUSIVE), association.numbers()

    def score(block: Block) -> None:
        z = z_of(np.take(numbers, block.columns, axis=0), block.spread(association.weight[block.rows]))
        # In whole steps, so that a row's strongest and its exclusive feature are equal where they are the same.
        z = np.rint(z * STEPS) / STEPS
        told = z > 0
        some, z = block.where(told), z[told]
        strongest[some.rows] = some.largest(z, 0)
        exclusive[some.rows] = some.largest(np.where(alone[some.columns], z, 0), 0)
        rows, largest = largest_of_each(some.spread(np.arange(len(some.counts))), z, TOP)
        many[some.rows] = np.bincount(rows, largest, len(some.counts))
        best = z == some.spread(strongest[some.rows])
        columns = some.largest(np.where(best, some.columns, -1), -1)
        feature[some.rows] = np.where(columns < 0, feature[some.rows], columns)

    table.each_block(score)
    return strongest, many / TOP, exclusive, feature


def _shared(ranks: Floats, feature: Ints) -> Floats:
    """Lift each row to the median rank of the rows that have the same strongest feature, which are of one class.

    What goes with a label goes with it in every row. Without this, some rows of a trigger that more rows carry than can
    be kept out would pass for being long.
    """
    order = np.lexsort((ranks, feature))
    group = feature[order]
    fresh = np.flatnonzero(np.append(True, group[1:] != group[:-1])[: len(order)])
    sizes = np.diff([*fresh, len(order)])
    lifted = np.empty_like(ranks)
    lifted[order] = np.maximum(ranks[order], np.repeat(ranks[order][fresh + sizes // 2], sizes))
    return lifted
