from __future__ import annotations

from dataclasses import field, make_dataclass
from importlib.util import find_spec
from pathlib import Path

import pyarrow as pa
import pytest

from antivenom.attacks import attacks
from antivenom.data.sampling import random_reserve
from antivenom.defenses import defenses
from antivenom.defenses.base import Defense
from antivenom.rewriting import translation
from antivenom.rewriting.tagging import MODEL
from antivenom.testing import synthetic_rows

PARAPHRASES = str(Path(__file__).parent / "paraphrases.csv")
SUPPLIES: dict[str, dict[str, str]] = {
    "back_translation": {"engine": "apertium", "there": "eng-spa", "back": "spa-eng"},
    "scpd": {"paired": PARAPHRASES, "missing": "keep"},
    "scpd_rule": {},
}
"""What each defense that needs something is given here, as defaults of its options."""


def supplied(cls: type[Defense]) -> type[Defense]:
    """The same defense with what it needs as defaults."""
    given = [(name, str, field(default=value)) for name, value in SUPPLIES[cls.name].items()]
    return make_dataclass(cls.__name__, given, bases=(cls,), frozen=True, kw_only=True)


def can_be_supplied(cls: type[Defense]) -> bool:
    """All but what parses: that needs its parser."""
    return cls.name != "scpd_rule" or find_spec(MODEL) is not None


class SaysItBackwards:
    """A translator; twice, and a text is as it was."""

    def __init__(self, model: str) -> None:
        self.model = model

    def __call__(self, texts: list[str]) -> list[str]:
        """Every text with its words in the other order."""
        return [" ".join(reversed(text.split())) for text in texts]


@pytest.fixture(autouse=True)
def translates(monkeypatch: pytest.MonkeyPatch) -> None:
    """No engine of another is started here."""
    monkeypatch.setattr(translation, "Apertium", SaysItBackwards)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every registered method gets every contract test; no list is kept by hand."""
    usable = {name: cls for name, cls in attacks().items() if not cls.needs}
    needing = {name: cls for name, cls in attacks().items() if cls.needs}
    kind = "generation" if metafunc.module.__name__.endswith("free_answers") else "classification"
    works = {
        name: supplied(cls) if cls.needs else cls
        for name, cls in defenses().items()
        if kind in cls.kinds and (not cls.needs or can_be_supplied(cls))
    }
    refusing = {name: cls for name, cls in defenses().items() if kind not in cls.kinds}
    asking = {name: cls for name, cls in defenses().items() if cls.needs}
    kinds = (
        ("attack_class", usable),
        ("needing_class", needing),
        ("defense_class", works),
        ("refusing_defense", refusing),
        ("needing_defense", asking),
    )
    for argument, found in kinds:
        if argument in metafunc.fixturenames:
            metafunc.parametrize(argument, found.values(), ids=list(found))
    if "method_class" in metafunc.fixturenames:
        both = {**attacks(), **defenses()}
        metafunc.parametrize("method_class", both.values(), ids=list(both))


@pytest.fixture(scope="session")
def trusted(task) -> pa.Table:
    table = synthetic_rows(100, seed=7)
    return table.filter(pa.array(random_reserve(table, task.labels, 0.5, seed=0)))
