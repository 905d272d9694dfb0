"""Principal components, density clusters and two clusters by average linkage, for the defenses that cluster rows."""

from __future__ import annotations

import numpy as np

from antivenom.core.arrays import Floats, Ints
from antivenom.core.errors import MissingPackageError

SEED = 42
"""UMAP's, in OpenBackdoor."""
LEAST_CLUSTER = 5
"""HDBSCAN's smallest cluster, as OpenBackdoor leaves it; how dense a place must be says `min_samples`."""


def principal_components(table: Floats, count: int) -> Floats:
    """The first principal components of rows; shape (rows, at most `count`).

    Args:
        table: Shape (rows, width).
        count: How many components.
    """
    centered = table - table.mean(axis=0)
    left, sizes, right = np.linalg.svd(centered, full_matrices=False)
    signs = np.sign(right[np.arange(len(right)), np.abs(right).argmax(axis=1)])  # the sign of a component is free
    found: Floats = (left * sizes * signs)[:, :count]
    return found


def components_of_gram(gram: Floats, count: int) -> Floats:
    """The first principal components of rows of which only the inner products are known; shape (rows, at most count).

    Components that are zero but for rounding are left out: standardized, they would weigh as much as real ones, and
    rounding, which differs between processors, would decide about rows.

    Args:
        gram: Inner products of the rows, not centered; shape (rows, rows).
        count: How many components.
    """
    means = gram.mean(axis=0)
    centered = gram - means - means[:, np.newaxis] + means.mean()
    values, vectors = np.linalg.eigh(centered)
    chosen = np.argsort(values)[::-1][:count]
    chosen = chosen[values[chosen] > max(values.max(), 0) * len(values) * np.finfo(np.float32).eps]
    found: Floats = vectors[:, chosen] * np.sqrt(values[chosen])
    return found


def two_clusters(points: Floats) -> Ints:
    """Cut rows into two clusters by average linkage and cosine distance; 0 for each row of the larger, 1 otherwise.

    Args:
        points: Shape (rows, width); they are standardized first.
    """
    from scipy.cluster.hierarchy import fcluster, linkage

    deviation = points.std(axis=0)
    scaled = (points - points.mean(axis=0))[:, deviation > 0] / deviation[deviation > 0]
    lengths = np.linalg.norm(scaled, axis=1, keepdims=True)
    if len(points) < 3 or not (lengths > 0).all():
        return np.zeros(len(points), dtype=np.int64)
    found = fcluster(linkage(scaled / lengths, "average", "cosine"), 2, "maxclust")
    larger = int(np.bincount(found).argmax())
    smaller: Ints = (found != larger).astype(np.int64)
    return smaller


def density_clusters(points: Floats, min_samples: int) -> Ints:
    """HDBSCAN's cluster of each row, -1 for none; shape (rows,). Too few rows make no cluster.

    Raises:
        MissingPackageError: scikit-learn is not installed.
    """
    if len(points) <= min_samples:
        return np.full(len(points), -1, dtype=np.int64)
    try:
        from sklearn.cluster import HDBSCAN
    except ImportError:
        raise MissingPackageError("clusters need scikit-learn", mend="pip install 'antivenom[defenses]'") from None
    found: Ints = HDBSCAN(min_cluster_size=LEAST_CLUSTER, min_samples=min_samples, copy=True).fit_predict(points)
    return found.astype(np.int64)


def two_dimensional_map(points: Floats, *, neighbors: int) -> Floats:
    """UMAP to two dimensions without a least distance, as OpenBackdoor has it; shape (rows, 2).

    Raises:
        MissingPackageError: umap-learn is not installed.
    """
    try:
        from umap import UMAP
    except ImportError:
        raise MissingPackageError(
            "reduce = 'umap' needs umap-learn", mend="pip install umap-learn, or choose reduce=pca."
        ) from None
    fitted = UMAP(n_neighbors=min(neighbors, len(points) - 1), min_dist=0.0, n_components=2, random_state=SEED)
    found: Floats = np.asarray(fitted.fit_transform(points), dtype=np.float64)
    return found
