"""Kinds of rows: which rows may have something in common that a trigger could be."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from antivenom.core.arrays import BoolArray, Floats, Ints
from antivenom.core.errors import MissingPackageError
from antivenom.defenses.held_out_belief import Calibration, HeldOutBelief
from antivenom.screening.feature_table import FeatureTable

LEAST = 4
"""A smaller kind could prove nothing."""
MOST = 0.15
"""The largest share of all rows that a kind may have: so much poison would be hard to place."""
ONE_SIDED = 0.7
"""The share of a kind's rows that have the same label, at least, where it could be a trigger."""
CLUSTERS = (4, 8, 16, 32)
"""Into how many clusters the rows of each label are cut: nobody knows how many rows a trigger has."""
COMPONENTS = 50


def one_sided(group: Ints, codes: Ints) -> bool:
    """Whether a group is of a size that could be a trigger's, and mostly of one label."""
    if not LEAST <= len(group) <= max(MOST * len(codes), LEAST):
        return False
    return bool(np.bincount(codes[group]).max() >= ONE_SIDED * len(group))


def by_feature(table: FeatureTable, codes: Ints) -> Iterator[Ints]:
    """The rows of each feature that could be a trigger, for each set of rows once.

    Args:
        table: Which features every row has.
        codes: The number of each row's label.
    """
    rows = np.repeat(np.arange(len(codes)), np.diff(table.starts))
    features = table.feature[table.columns]
    order = np.lexsort((rows, features))
    rows, ends = rows[order], np.flatnonzero(np.diff(features[order])) + 1
    seen = set[bytes]()
    for group in np.split(rows, ends):
        if one_sided(group, codes) and group.tobytes() not in seen:
            seen.add(group.tobytes())
            yield group


def by_cluster(states: Floats, codes: Ints, among: BoolArray, *, seed: int) -> Iterator[Ints]:
    """The rows of each label cut into clusters, with the rows of other labels that fall into the same.

    The latter belong to the kind too: where an honest turn of phrase stands with both labels, they say so.

    Args:
        states: Standardized; shape (rows, width).
        codes: The number of each row's label.
        among: The rows to cut.
        seed: Keys where the clusters start from.
    """
    places = np.flatnonzero(among)
    for code in np.unique(codes[places]):
        own = codes[places] == code
        different = len(np.unique(np.round(states[places][own], 6), axis=0))
        if different < 2 * min(CLUSTERS):
            continue
        for points in _views(states[places], own):
            for count in CLUSTERS:
                if different >= 2 * count:
                    cluster = _k_means(points[own], points, count, seed=seed)
                    yield from (places[cluster == one] for one in range(count))


def likeness(states: Floats, codes: Ints, gone: BoolArray) -> Floats:
    """The chance that a row is one of its label that were discovered, itself left out; 0 where too few were.

    Args:
        states: Standardized; shape (rows, width).
        codes: The number of each row's label.
        gone: The rows that were discovered.
    """
    chance, everything = np.zeros(len(codes)), np.ones(len(codes), dtype=bool)
    for code in np.unique(codes[gone]):
        own = codes == code
        hit = gone & own
        if hit.sum() >= 2 * LEAST:
            like = np.round(HeldOutBelief.of(states, hit.astype(np.int64), 2, everything).of_rows()[:, 1], 6)
            chance[own] = Calibration.of(like, hit)(like[own])
    return chance


def _views(states: Floats, own: BoolArray) -> Iterator[Floats]:
    """All rows on the principal components of some, as they are and with equal weight."""
    center = states[own].mean(axis=0)
    directions = _directions(states[own] - center)
    points = (states - center) @ directions
    yield points
    yield points / np.maximum(points[own].std(axis=0), 1e-9)


def _directions(centered: Floats) -> Floats:
    """The directions in which centered rows spread most; shape (width, at most `COMPONENTS`)."""
    right = np.linalg.svd(centered, full_matrices=False)[2][:COMPONENTS]
    signs = np.sign(right[np.arange(len(right)), np.abs(right).argmax(axis=1)])  # the sign of a component is free
    found: Floats = (right * signs[:, np.newaxis]).T
    return found


def _k_means(points: Floats, asked: Floats, count: int, *, seed: int) -> Ints:
    """Cut rows into clusters by k-means, and say which cluster each row that is asked about falls into."""
    try:
        from sklearn.cluster import KMeans
    except ImportError as error:
        raise MissingPackageError(
            "this defense needs scikit-learn", mend="Run `pip install 'antivenom[defenses]'`."
        ) from error
    found: Ints = KMeans(count, n_init=4, random_state=seed % 2**32).fit(points).predict(asked).astype(np.int64)
    return found
