"""Run one cell: rows in, record out. The only module of suites that trains; trained models are kept by content."""

from __future__ import annotations

import contextlib
import os
import platform
import resource
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from antivenom.artifacts.artifact import load_artifact
from antivenom.artifacts.manifest import MANIFEST
from antivenom.attacks import Attack
from antivenom.core.errors import AntivenomError
from antivenom.data.digests import digest_of_table
from antivenom.data.query import Asked
from antivenom.defenses import Defense, Prepared
from antivenom.evaluation.comparison import Scenario, make_scenario, public_facts
from antivenom.evaluation.evaluate import evaluate, write_outputs
from antivenom.guards.guard import AnyTask, Guard
from antivenom.guards.labels import ChoiceScores
from antivenom.inference.guarded import GuardedModel, load_guarded
from antivenom.inference.writing import GuardedWriter
from antivenom.models.base_model import locate_model
from antivenom.suites.cell import Cell
from antivenom.suites.cell_rows import expand, load_cell_rows
from antivenom.suites.decided import count_teaching, decided_rows
from antivenom.suites.effects import effects_of
from antivenom.suites.methods import Methods
from antivenom.suites.record import Ledger, Record, Results
from antivenom.suites.stored import StoredReferee, write_rows
from antivenom.training.fit import fingerprint_of, fit

NO_ROWS_POISONED = "never poisoned"
HONEST_ROWS = "perfect filter"


@dataclass
class Bench:
    """Where a cell works: its results folder, its data, and what it has spent so far."""

    results: Results
    data: Path
    cell: Cell
    quiet: bool = True
    fits: list[str] = field(default_factory=list)
    train_seconds: float = 0.0
    tokens: int = 0

    @property
    def work(self) -> Path:
        """Trained models and what else can be made again."""
        return self.results.folder / "work"

    def fit(self, prepared: Prepared) -> GuardedModel | GuardedWriter:
        """Fine-tune on prepared rows, unless the results folder already holds this very training."""
        options = self.cell.recipe.training()
        located = locate_model(self.model())
        key = fingerprint_of(prepared, located, options.on(prepared), self.cell.seed)
        folder = self.work / "fits" / key
        self.fits.append(key)
        with self.results.locked(f"fit-{key}"):
            if not (folder / MANIFEST).exists() or (folder / "work").exists():
                start = time.perf_counter()
                model = str(located.folder)
                fit(prepared, model=model, out=folder, options=options, seed=self.cell.seed, quiet=self.quiet)
                self.train_seconds += time.perf_counter() - start
        self.tokens += load_artifact(folder).manifest.training.get("tokens", 0)
        return load_guarded(folder, top_layers=options.top_layers)

    def model(self) -> str:
        """The model as the training takes it; `tiny` is made here."""
        if self.cell.model != "tiny":
            return self.cell.model
        folder = self.work / "models" / "tiny"
        with self.results.locked("tiny"):
            if not folder.exists():
                from antivenom.testing import tiny_model

                folder.parent.mkdir(parents=True, exist_ok=True)
                made = Path(tempfile.mkdtemp(dir=folder.parent))
                tiny_model(made)
                made.replace(folder)
        return str(folder)


def run_cell(key: str, results: Results, methods: Methods, data: Path, *, quiet: bool = True) -> Record:
    """Run a cell unless its record is there; a record is written last, so a killed cell leaves none.

    Args:
        key: The cell, as the plan of `results` knows it.
        results: The folder of results.
        methods: What its specs name.
        data: The folder of the data sets.
        quiet: Show no progress bars.

    Raises:
        AntivenomError: the cell cannot be run; the reason is kept in the results.
    """
    with results.locked(f"cell-{key}"):
        if results.is_done(key):
            return results.read(key)
        try:
            record = _measure(key, Bench(results, data, results.cell(key), quiet), methods)
        except AntivenomError as error:
            results.fail(key, str(error))
            raise
        results.write(record)
        return record


def _measure(key: str, bench: Bench, methods: Methods) -> Record:
    """Poison, defend, fit, evaluate; and keep what a replay needs."""
    start, cell = (time.perf_counter(), time.process_time()), bench.cell
    scenario = scenario_of(cell, methods, bench)
    rows, poisoned = _rows_to_defend(scenario, cell.control)
    kept = bench.results.folder / "replay" / key
    prepared = _prepare(methods.defense(cell.defense), scenario, rows, bench, kept)
    model = bench.fit(prepared)
    found, outputs = evaluate(model, scenario.test, [scenario.attack], seed=cell.seed, quiet=bench.quiet)
    decided = decided_rows(rows, poisoned, scenario.unpoisoned, prepared)
    write_rows(kept / "rows.parquet", decided)
    write_outputs(kept / "outputs.parquet", outputs)
    return Record(
        id=key,
        cell=cell,
        evaluation=found.to_dict(),
        rows={
            "train": scenario.train.num_rows,
            "trained_on": prepared.rows.num_rows,
            "trusted": scenario.trusted.num_rows,
            "test": scenario.test.num_rows,
            "train_sha256": digest_of_table(scenario.train),
            "test_sha256": digest_of_table(scenario.test),
        },
        teaching=count_teaching(decided),
        effects=effects_of(outputs),
        facts=public_facts(prepared.facts),
        approximation=scenario.attack.approximation,
        fits=tuple(bench.fits),
        ledger=_ledger(bench, start),
        machine=machine(),
    )


def scenario_of(cell: Cell, methods: Methods, bench: Bench) -> Scenario:
    """The rows of a cell as its victim meets them."""
    task, train, test = load_cell_rows(cell.task, bench.data, seed=cell.seed)
    attack = methods.attack(cell.attack)
    if attack.target is None and cell.task.target is not None:
        attack = replace(attack, target=cell.task.target)
    attack = expand(attack, bench.data, _learned(cell, attack, task, train, test, bench))
    return make_scenario(task, train, test, attack, trusted_share=cell.trusted_share, seed=cell.seed)


def machine() -> dict[str, Any]:
    """What a cell ran on, and the versions of what it used."""
    from importlib.metadata import PackageNotFoundError, version

    import torch

    versions = {}
    for name in ("antivenom", "torch", "transformers", "peft", "pyarrow", "numpy"):
        with contextlib.suppress(PackageNotFoundError):
            versions[name] = version(name)
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    threads = torch.get_num_threads()
    where = {"platform": platform.platform(), "python": platform.python_version(), "cpus": os.cpu_count()}
    return {**where, "threads": threads, "gpu": gpu, "versions": versions}


def _rows_to_defend(scenario: Scenario, control: str) -> tuple[pa.Table, frozenset[int]]:
    """What the defense gets, and which of it is poisoned."""
    if control == NO_ROWS_POISONED:
        return scenario.unpoisoned, frozenset()
    if control == HONEST_ROWS:
        numbers = pa.array(sorted(scenario.poisoned), pa.int64())
        return scenario.train.filter(pc.invert(pc.is_in(scenario.train.column("row"), value_set=numbers))), frozenset()
    return scenario.train, frozenset(scenario.poisoned)


def _prepare(defense: Defense, scenario: Scenario, rows: pa.Table, bench: Bench, kept: Path) -> Prepared:
    """Let the defense decide, and keep what every referee says of every row."""
    from antivenom.models.local import word_pieces_of

    seed, task = bench.cell.seed, scenario.task
    pieces = word_pieces_of(locate_model(bench.model()).folder)
    first = defense.prepare(task, rows, trusted=scenario.trusted, seed=seed, word_pieces=pieces)

    def referee_of(prepared: Prepared) -> _Silent:
        referee = _Silent(bench.fit(prepared))
        if bench.cell.keep_states:
            stored = StoredReferee.ask(referee, rows, prepared)
            stored.write(kept / f"referee-{len(bench.fits)}.parquet")
        return referee

    return first.decided(referee_of)


def _learned(cell: Cell, attack: Attack, task: AnyTask, train: pa.Table, test: pa.Table, bench: Bench) -> Path:
    """Where files are that an attack learns from the rows; learnt here when its spec names `{learned}`."""
    key = digest_of_table(train)[:12] + digest_of_table(test)[:12]
    folder = bench.work / "learned" / f"{key}-{cell.seed}"
    if "{learned}" not in cell.attack:
        return folder
    from antivenom.attacks.substitution.learn import learn_substitutions
    from antivenom.tasks.task import Classification

    assert isinstance(task, Classification), "substitutions are learnt for labels"
    with bench.results.locked(f"learned-{folder.name}"):
        if not folder.exists():
            made = Path(tempfile.mkdtemp(dir=bench.work))
            target = task.target(attack.target)
            learn_substitutions(task, train, test, target=target, out=made / "made", seed=cell.seed)
            folder.parent.mkdir(parents=True, exist_ok=True)
            (made / "made").replace(folder)
            shutil.rmtree(made)
    return folder


def _ledger(bench: Bench, start: tuple[float, float]) -> Ledger:
    """What the cell cost."""
    import torch

    gpu = torch.cuda.max_memory_allocated() / 2**20 if torch.cuda.is_available() else 0.0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    spent = (time.perf_counter() - start[0], time.process_time() - start[1], bench.train_seconds)
    return Ledger(*(round(each, 2) for each in spent), bench.tokens, round(peak, 1), round(gpu, 1))


@dataclass(frozen=True)
class _Silent:
    """A referee that shows no progress."""

    model: Any

    @property
    def guard(self) -> Guard:
        found: Guard = self.model.guard
        return found

    def score(self, asked: Sequence[Asked], *, progress: str | None = None) -> ChoiceScores:
        found: ChoiceScores = self.model.score(asked)
        return found

    def states(self, texts: Sequence[str], *, progress: str | None = None) -> npt.NDArray[np.float32]:
        found: npt.NDArray[np.float32] = self.model.states(texts)
        return found
