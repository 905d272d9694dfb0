"""Run one cell: rows in, record out. The only module of suites that trains; trained models are kept by content."""

from __future__ import annotations

import hashlib
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from antivenom.attacks import Attack
from antivenom.core.errors import AntivenomError
from antivenom.core.files import new_folder
from antivenom.core.processes import on_first, process_count
from antivenom.data.digests import digest_of_table
from antivenom.defenses import Defense, Prepared
from antivenom.evaluation.comparison import Scenario, make_scenario, measure_is_empty, public_facts
from antivenom.evaluation.evaluate import evaluate, write_outputs
from antivenom.guards.guard import AnyTask
from antivenom.inference.guarded import GuardedModel, load_guarded, trained_weights
from antivenom.inference.writing import GuardedWriter
from antivenom.models.lab import Lab
from antivenom.suites.bench import Bench, WatchedLab
from antivenom.suites.cell import Cell
from antivenom.suites.cell_rows import expand, load_cell_rows, without_places
from antivenom.suites.code import code_of
from antivenom.suites.decided import count_teaching, decided_rows
from antivenom.suites.effects import Effects, effects_of
from antivenom.suites.identity import IN_DATA, LEARNED
from antivenom.suites.machine import machine, peak_memory
from antivenom.suites.methods import Methods
from antivenom.suites.record import Ledger, Record, Results
from antivenom.suites.stored import write_rows
from antivenom.training.lab import RowsLab

NO_ROWS_POISONED = "never poisoned"
HONEST_ROWS = "perfect filter"
NOTHING_MEASURED: dict[str, Any] = {"clean": {}, "attacks": []}


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
        on_first(lambda: results.forget_failure(key))
        try:
            record = _measure(key, Bench(results, data.resolve(), results.cell(key), quiet), methods)
        except AntivenomError as error:
            said = str(error)
            on_first(lambda: results.fail(key, said))
            raise
        on_first(lambda: results.write(record))
        return record


def _measure(key: str, bench: Bench, methods: Methods) -> Record:
    """Poison, defend, fit, evaluate; and keep what a replay needs."""
    start, cell = (time.perf_counter(), time.process_time()), bench.cell
    places = {"{data}": bench.data, "{results}": bench.results.folder.resolve()}
    scenario = scenario_of(cell, methods, bench)
    rows, poisoned = _rows_to_defend(scenario, cell.control)
    kept = bench.results.folder / "replay" / key
    defense = methods.defense(cell.defense.replace(IN_DATA, f"{bench.data}/"))
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
        facts=without_places(public_facts(prepared.facts), places),
        approximation=" ".join(filter(None, (scenario.attack.approximation, defense.approximation))),
        fits=tuple(bench.fits),
        ledger=_ledger(bench, start),
        machine={**machine(), "precision": bench.precision},
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
    from antivenom.models.precision import choose_precision, shapes_in

    model, store, located = load_guarded(folder), bench.lab.bases, bench.lab.located
    learned = trained_weights(folder, located, scenario.task.frame.modality, store, trainable=True)
    repaired = defense.repair(learned, scenario.task, trusted=scenario.trusted, prepared=prepared, lab=lab)
    precision = choose_precision(bench.lab.options.precision, shapes_in(located.folder))
    if isinstance(model, GuardedWriter):
        writer = LocalGenerator(repaired, precision=precision)
        return GuardedWriter(model.encoder, writer, base=lambda: store.adaptable(located).eval())
    return GuardedModel(model.encoder, scorer(repaired, model.encoder, precision))


def _learned(cell: Cell, attack: Attack, task: AnyTask, train: pa.Table, test: pa.Table, bench: Bench) -> Path:
    """Where files are that an attack learns from the rows; learned here when its spec names `{learned}`."""
    code = code_of("antivenom.attacks.substitution.learn")
    parts = [digest_of_table(train), digest_of_table(test), attack.target, code, cell.seed]
    folder = (bench.work / "learned" / hashlib.sha256(repr(parts).encode()).hexdigest()[:24]).resolve()
    if LEARNED not in cell.attack:
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
