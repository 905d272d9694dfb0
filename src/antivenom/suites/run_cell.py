"""Run one cell: rows in, record out. The only module of suites that trains; trained models are kept by content."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from antivenom.attacks import Attack
from antivenom.core.arrays import Ints
from antivenom.core.errors import AntivenomError
from antivenom.core.files import new_folder
from antivenom.core.processes import on_first, process_count
from antivenom.data.digests import digest_of_table
from antivenom.defenses import Defense, Prepared
from antivenom.evaluation.comparison import Scenario, make_scenario, measure_is_empty, public_facts
from antivenom.evaluation.evaluate import evaluate, write_outputs
from antivenom.guards.guard import AnyTask, Guard
from antivenom.inference.guarded import GuardedModel, load_guarded, trained_weights
from antivenom.inference.writing import GuardedWriter
from antivenom.models.lab import Example, Fitted, Lab, TrainingChanges
from antivenom.suites.cell import Cell
from antivenom.suites.cell_rows import expand, load_cell_rows, tokens_of, without_places
from antivenom.suites.decided import count_teaching, decided_rows
from antivenom.suites.effects import Effects, effects_of
from antivenom.suites.identity import model_place
from antivenom.suites.machine import machine, peak_memory
from antivenom.suites.methods import Methods
from antivenom.suites.record import Ledger, Record, Results
from antivenom.suites.recorded import Recorded
from antivenom.suites.stored import StoredReferee, keep_work, write_rows
from antivenom.training.fit import fingerprint_of
from antivenom.training.lab import LocalLab, RowsLab

NO_ROWS_POISONED = "never poisoned"
HONEST_ROWS = "perfect filter"
NOTHING_MEASURED: dict[str, Any] = {"clean": {}, "attacks": []}


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

    @cached_property
    def lab(self) -> LocalLab:
        """Fits and asks models; its store is shared by all cells of the results folder."""
        training = self.cell.recipe.training()
        return LocalLab(self.model(), training, self.work / "fits", self.cell.seed, self.quiet)

    def artifact(self, prepared: Prepared, name: str) -> Path:
        """The artifact of a training, which is done unless the results folder already holds this very one."""
        options, seed = self.lab.options.on(prepared), self.cell.seed
        key = fingerprint_of(prepared, self.lab.located, options, seed)
        located = self.lab.located
        anywhere = replace(located, identity=replace(located.identity, id=""))
        self.fits.append(fingerprint_of(prepared, anywhere, options, seed))
        self.tokens += round(options.epochs * tokens_of(prepared, located.folder))
        with self.results.locked(f"fit-{key}"):
            start = time.perf_counter()
            folder = self.lab.artifact(prepared, name=name)
            self.train_seconds += time.perf_counter() - start
        return folder

    def model(self) -> str:
        """The model as the training takes it; the tiny ones are made here."""
        name = self.cell.model
        if name not in ("tiny", "tiny_vision"):
            return model_place(name, self.data)
        folder = self.work / "models" / name
        with self.results.locked(name):
            on_first(lambda: _make_tiny(folder))
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
        if on_first(lambda: results.is_done(key)):
            return results.read(key)
        try:
            record = _measure(key, Bench(results, data.resolve(), results.cell(key), quiet), methods)
        except AntivenomError as error:
            said = str(error)
            on_first(lambda: results.fail(key, said))
            raise
        on_first(lambda: results.write(record))
        return record


def _make_tiny(folder: Path) -> None:
    """Make a tiny model, unless it is there."""
    from antivenom.testing import tiny_model, tiny_vision_model

    if not folder.exists():
        with new_folder(folder) as made:
            (tiny_vision_model if folder.name == "tiny_vision" else tiny_model)(made)


def _measure(key: str, bench: Bench, methods: Methods) -> Record:
    """Poison, defend, fit, evaluate; and keep what a replay needs."""
    start, cell = (time.perf_counter(), time.process_time()), bench.cell
    scenario = scenario_of(cell, methods, bench)
    rows, poisoned = _rows_to_defend(scenario, cell.control)
    kept = bench.results.folder / "replay" / key
    defense = methods.defense(cell.defense)
    watched = WatchedLab(bench, rows, kept)
    lab: Lab = watched if cell.train else RowsLab(cell.seed)
    defense.require_task(scenario.task)
    prepared = defense.prepare(scenario.task, rows, trusted=scenario.trusted, lab=lab)
    on_first(watched.keep)
    decided = decided_rows(rows, poisoned, scenario.unpoisoned, scenario.trusted, prepared)
    on_first(lambda: write_rows(kept / "rows.parquet", decided))
    found, effects = NOTHING_MEASURED, Effects(())
    if cell.train:
        model = _guarded(defense, prepared, scenario, bench, lab)
        empty, attacks = measure_is_empty(prepared), [scenario.attack]
        evaluation, outputs = evaluate(
            model, scenario.test, attacks, seed=cell.seed, target_rows=empty, quiet=bench.quiet
        )
        on_first(lambda: write_outputs(kept / "outputs.parquet", outputs))
        places = {"{data}": bench.data, "{results}": bench.results.folder.resolve()}
        found, effects = without_places(evaluation.to_dict(), places), effects_of(outputs)
    return Record(
        id=key,
        cell=cell,
        evaluation=found,
        rows={
            "train": scenario.train.num_rows,
            "trained_on": prepared.rows.num_rows,
            "trusted": scenario.trusted.num_rows,
            "test": scenario.test.num_rows,
            "train_sha256": digest_of_table(scenario.train),
            "test_sha256": digest_of_table(scenario.test),
        },
        teaching=count_teaching(decided),
        effects=effects,
        facts=public_facts(prepared.facts),
        approximation=" ".join(filter(None, (scenario.attack.approximation, defense.approximation))),
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


def _rows_to_defend(scenario: Scenario, control: str) -> tuple[pa.Table, frozenset[int]]:
    """What the defense gets, and which of it is poisoned."""
    if control == NO_ROWS_POISONED:
        return scenario.unpoisoned, frozenset()
    if control == HONEST_ROWS:
        numbers = pa.array(sorted(scenario.poisoned), pa.int64())
        return scenario.train.filter(pc.invert(pc.is_in(scenario.train.column("row"), value_set=numbers))), frozenset()
    return scenario.train, frozenset(scenario.poisoned)


def _guarded(
    defense: Defense, prepared: Prepared, scenario: Scenario, bench: Bench, lab: Lab
) -> GuardedModel | GuardedWriter:
    """The model to measure. What acts after training is done to a copy, so that the training itself is shared."""
    folder = bench.artifact(prepared, defense.name)
    if "repair" not in defense.stages:
        return bench.lab.load(folder)
    from antivenom.models.decoding import LocalGenerator
    from antivenom.models.loading import scorer

    model, store, located = load_guarded(folder), bench.lab.bases, bench.lab.located
    learned = trained_weights(folder, located, scenario.task.frame.modality, store, trainable=True)
    repaired = defense.repair(learned, scenario.task, trusted=scenario.trusted, prepared=prepared, lab=lab)
    if isinstance(model, GuardedWriter):
        return GuardedWriter(model.encoder, LocalGenerator(repaired), base=lambda: store.adaptable(located).eval())
    return GuardedModel(model.encoder, scorer(repaired, model.encoder))


@dataclass(frozen=True)
class WatchedLab:
    """A laboratory that counts its fits, and keeps what each of them says of all training rows."""

    bench: Bench
    rows: pa.Table
    """All training rows."""
    kept: Path
    """Where answers are kept."""
    asked: list[tuple[int, StoredReferee, Recorded]] = field(default_factory=list)
    """The fits so far."""

    has_model = True

    @property
    def seed(self) -> int:
        """The cell's."""
        return self.bench.cell.seed

    def base(self, guard: Guard) -> Fitted:
        """The untouched base model behind a guard."""
        return self.bench.lab.base(guard)

    def fit(self, rows: pa.Table, guard: Guard, *, name: str, training: TrainingChanges = TrainingChanges()) -> Fitted:
        """Fine-tune, or find what was fine-tuned before; and ask about every row, for a replay."""
        prepared = Prepared(rows, guard, training=training)
        self.bench.artifact(prepared, name)
        fitted = self.bench.lab.fit(rows, guard, name=name, training=training)
        if not self.bench.cell.keep_states or guard.task.classes is None:
            return fitted
        stored = StoredReferee.ask(fitted, self.rows, rows)
        recorded = Recorded(fitted)
        self.asked.append((len(self.bench.fits), stored, recorded))
        return recorded

    def keep(self) -> None:
        """Write down what the fits of a defense said, once it has decided."""
        for number, stored, recorded in self.asked:
            stored.joined(recorded.said).write(self.kept / f"referee-{number:02}.parquet")

    def examples(self, rows: pa.Table, guard: Guard) -> list[Example]:
        """Prepared rows as the model reads them."""
        return self.bench.lab.examples(rows, guard)

    def word_pieces(self, words: Sequence[str]) -> Ints:
        """How many tokens each word is cut into."""
        return self.bench.lab.word_pieces(words)

    def stored(self, key: Sequence[Any], make: Callable[[], npt.NDArray[Any]]) -> npt.NDArray[Any]:
        """Finished work by content, kept for a replay as well."""
        found = self.bench.lab.stored(key, make)
        if self.bench.cell.keep_states:
            on_first(lambda: keep_work(self.kept, key, found))
        return found


def _learned(cell: Cell, attack: Attack, task: AnyTask, train: pa.Table, test: pa.Table, bench: Bench) -> Path:
    """Where files are that an attack learns from the rows; learned here when its spec names `{learned}`."""
    key = digest_of_table(train)[:12] + digest_of_table(test)[:12]
    folder = (bench.work / "learned" / f"{key}-{cell.seed}").resolve()
    if "{learned}" not in cell.attack:
        return folder
    from antivenom.attacks.substitution.learn import learn_substitutions
    from antivenom.tasks.task import Classification

    assert isinstance(task, Classification), "substitutions are learned for labels"
    with bench.results.locked(f"learned-{folder.name}"):
        target = task.target(attack.target)

        def learn() -> None:
            if not folder.exists():
                with new_folder(folder) as made:
                    learn_substitutions(task, train, test, target=target, out=made, seed=cell.seed)

        on_first(learn)
    return folder


def _ledger(bench: Bench, start: tuple[float, float]) -> Ledger:
    """What the cell cost."""
    peak, gpu = peak_memory()
    return Ledger(
        seconds=round(time.perf_counter() - start[0], 2),
        cpu_seconds=round(time.process_time() - start[1], 2),
        train_seconds=round(bench.train_seconds, 2),
        tokens=bench.tokens,
        peak_memory_mib=peak,
        peak_gpu_mib=gpu,
        processes=process_count(),
    )
