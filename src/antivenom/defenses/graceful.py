"""GraCeFul (Wu et al., COLING 2025): rows are clustered by the low frequencies of their head gradients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa

from antivenom.core.arrays import BoolArray, Floats
from antivenom.core.errors import OptionsError
from antivenom.defenses.base import Defense, Prepared
from antivenom.defenses.clustering import components_of_gram, two_clusters
from antivenom.defenses.filtering import untouched, without_suspects
from antivenom.defenses.head_gradients import gram, low_frequencies, of_mean, shortened
from antivenom.guards.guard import AnyTask
from antivenom.models.lab import Lab


@dataclass(frozen=True, kw_only=True)
class Graceful(Defense):
    """Cut the rows into two clusters by what the untouched model would learn from each, and leave out the smaller.

    Per row the gradient of the answer's loss with respect to the vocabulary head, its cosine transform, the corner of
    low frequencies; PCA to 32, standardized, average linkage by cosine distance. No gradient is ever written out: the
    transform acts on its two factors, and PCA on the inner products.

    Something is always left out, on clean rows too. Where answers are one token, the clusters are the labels; so it
    works on free answers alone.
    """

    name: ClassVar[str] = "graceful"
    filters: ClassVar[bool] = True
    kinds: ClassVar[tuple[str, ...]] = ("generation",)
    costs: ClassVar[str] = "one pass over the rows; time with the square, and memory with the number, of answer tokens"
    approximation: ClassVar[str] = "the first `most_tokens` tokens of an answer count"

    components: int = 32
    """Principal components."""
    most_tokens: int = 32
    """Tokens of an answer whose loss counts; the source takes all."""

    def __post_init__(self) -> None:
        for name in ("components", "most_tokens"):
            if getattr(self, name) < 1:
                raise OptionsError(f"{name} = {getattr(self, name)}", mend="It is at least 1.")

    def prepare(self, task: AnyTask, rows: pa.Table, *, trusted: pa.Table | None, lab: Lab) -> Prepared:
        """Cluster the rows and leave out the smaller cluster."""
        base, taught = untouched(task, rows, trusted, lab)
        order = np.argsort(rows.column("row").to_numpy())
        gradients = base.gradients(taught.take(pa.array(order)), progress="gradients of the rows")
        low = [low_frequencies(of_mean(gradient)) for gradient in shortened(gradients, self.most_tokens)]
        suspect = np.zeros(rows.num_rows, dtype=bool)
        suspect[order] = self.suspects(gram(low)) if low else suspect
        return without_suspects(task, rows, suspect, trusted, {"components": self.components})

    def suspects(self, products: Floats) -> BoolArray:
        """The rows in the smaller cluster; shape (rows,).

        Args:
            products: Inner products of the rows' gradients; shape (rows, rows).
        """
        found: BoolArray = two_clusters(components_of_gram(products, self.components)) == 1
        return found
