from __future__ import annotations

from pathlib import Path
from random import Random

import pyarrow as pa
import pytest

from antivenom.data.rows import load_rows, table_of
from antivenom.tasks.task import Classification

SHARED = next((up / "shared/data" for up in Path(__file__).parents if (up / "shared/data").is_dir()), None)
"""Development data somewhere above the checkout; tests that need it are skipped without it."""
TEXT = "the a film movie story acting plot , is was and good bad nice dull ending of it"


@pytest.fixture(scope="session")
def task() -> Classification:
    return Classification.for_labels(("negative", "positive"))


@pytest.fixture(scope="session")
def rows() -> pa.Table:
    """Rows of SST-2's number, each text different, seven words and more."""
    rng = Random(0)
    texts = [" ".join([f"w{i}", *rng.choices(TEXT.split(), k=rng.randint(6, 18))]) for i in range(6920)]
    return table_of(texts, [rng.choice(("negative", "positive")) for _ in texts])


@pytest.fixture(scope="session")
def few(rows: pa.Table) -> pa.Table:
    return rows.slice(0, 400)


@pytest.fixture(scope="session")
def shared() -> Path:
    if SHARED is None:
        pytest.skip("the shared data sets are not here")
    return SHARED


@pytest.fixture(scope="session")
def sst2(shared: Path) -> dict[str, pa.Table]:
    labels = ("negative", "positive")
    return {name: load_rows(shared / f"sst2/{name}.tsv", labels=labels).table for name in ("train", "test")}


@pytest.fixture(scope="session")
def texts_at():
    """The texts of a table at some positions."""

    def texts(table: pa.Table, indices: tuple[int, ...]) -> list[str]:
        column = table.column("text").to_pylist()
        return [column[i] for i in indices]

    return texts
