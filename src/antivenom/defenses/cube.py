"""CUBE (Cui et al., NeurIPS 2022): rows that cluster apart from their label's largest cluster are left out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import pyarrow as pa

from antivenom.core.arrays import BoolArray, Floats, Ints
from antivenom.core.errors import OptionsError
from antivenom.core.options import check_choices
from antivenom.data.query import queries
from antivenom.data.sampling import label_codes
from antivenom.defenses.base import Defense, Prepared
from antivenom.defenses.clustering import density_clusters, principal_components, two_dimensional_map
from antivenom.defenses.filtering import fitted_on_all, without_suspects
from antivenom.guards.guard import AnyTask
from antivenom.models.lab import Lab

LEAST_OF_LABEL = 0.5
"""A further cluster with so large a share of a label's rows is believed."""


@dataclass(frozen=True, kw_only=True)
class Cube(Defense):
    """Cluster what a model that learned all rows makes of them; keep the largest cluster of each label.

    The state where the answer is predicted, PCA, UMAP to two dimensions, HDBSCAN over all rows. Of each label every
    cluster but the largest, and the rows in none, are left out where they are fewer than half of the label's rows.
    Where fewer than two clusters are found, nothing is left out: in particular where there are less than about
    `min_samples` poisoned rows.

    Source: "A Unified Evaluation of Textual Backdoor Learning", and the defaults of OpenBackdoor.
    """

    name: ClassVar[str] = "cube"
    filters: ClassVar[bool] = True
    kinds: ClassVar[tuple[str, ...]] = ("classification",)
    costs: ClassVar[str] = "one fit on all rows, one pass over them; scikit-learn (pip install 'antivenom[defenses]')"
    approximation: ClassVar[str] = (
        "clusters the principal components themselves unless reduce=umap; the state that predicts the label instead of "
        "an encoder's pooled one"
    )

    reduce: Literal["pca", "umap"] = "pca"
    """`umap` is the published way and needs umap-learn; `pca` clusters the first `components` as they are."""
    components: int = 20
    """Principal components."""
    min_samples: int = 100
    """HDBSCAN's: how many neighbors make a dense place. Fewer poisoned rows than this are no cluster."""

    def __post_init__(self) -> None:
        check_choices(self)
        for name in ("components", "min_samples"):
            if getattr(self, name) < 2:
                raise OptionsError(f"{name} = {getattr(self, name)}", mend="It is at least 2.")

    def prepare(self, task: AnyTask, rows: pa.Table, *, trusted: pa.Table | None, lab: Lab) -> Prepared:
        """Cluster the rows and leave the minority clusters out."""
        fitted, taught = fitted_on_all(task, rows, trusted, lab)
        if not rows.num_rows:
            return without_suspects(task, rows, np.zeros(0, dtype=bool), trusted, {"clusters": 0})
        order = np.argsort(rows.column("row").to_numpy())
        states = fitted.answer_states(queries(taught), progress="states of the rows")[order].astype(np.float64)
        clusters = np.empty(rows.num_rows, dtype=np.int64)
        clusters[order] = self.clusters(states)
        suspect = minority(clusters, label_codes(rows, task.classes))
        return without_suspects(task, rows, suspect, trusted, {"clusters": int(clusters.max(initial=-1)) + 1})

    def clusters(self, states: Floats) -> Ints:
        """The cluster of each row, -1 for none; shape (rows,).

        Args:
            states: Shape (rows, width).
        """
        reduced = principal_components(states, self.components)
        if self.reduce == "umap":
            reduced = two_dimensional_map(reduced, neighbors=self.min_samples)
        return density_clusters(reduced, self.min_samples)


def minority(clusters: Ints, codes: Ints) -> BoolArray:
    """The rows outside their label's largest cluster, in clusters with less than half of the label's rows.

    Args:
        clusters: The cluster of each row, -1 for none.
        codes: The number of each row's label.
    """
    suspect = np.zeros(len(codes), dtype=bool)
    if clusters.max(initial=-1) < 1:
        return suspect
    for code in np.unique(codes):
        own = codes == code
        names, sizes = np.unique(clusters[own], return_counts=True)
        believed = {int(names[sizes.argmax()])}
        believed |= {int(name) for name, size in zip(names, sizes, strict=True) if size >= LEAST_OF_LABEL * own.sum()}
        suspect |= own & ~np.isin(clusters, sorted(believed))
    return suspect
