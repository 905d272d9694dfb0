"""The tables of a report as plain cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from antivenom.evaluation.left_out import LeftOut
from antivenom.suites.cell import Place
from antivenom.suites.lines import NEVER, PERFECT, Group, Line, undefended_of
from antivenom.suites.printed import AXES, Beside
from antivenom.suites.statistics import Counted, holm


@dataclass(frozen=True)
class TableCell:
    """One cell: what it says, and the record that it comes from."""

    text: str
    link: str = ""
    """Relative to the results folder; empty where no one record says it."""
    mark: str = ""
    """A class for the page: `better`, `worse`, `erased`, `missing`."""


@dataclass(frozen=True)
class Table:
    """A table with its title and what has to be known to read it."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[TableCell, ...], ...]
    note: str = ""
    left: int = 1
    """Columns of text; the others hold figures."""
    folded: bool = False
    """Whether the page shows it on request only."""


RESULT_HEAD = (
    "attack",
    "defense",
    "outcome",
    "excess",
    "accuracy",
    "robust accuracy",
    "ASR",
    "ASR deployed",
    "floor",
    "poison taught",
    "honest lost",
)
RESULT_NOTE = (
    "Percent with 95 % intervals (rates: Wilson; excess: of the paired difference). ASR: the output means the target. "
    "Deployed: what a client gets. Floor: the same rows without the trigger. Excess = deployed - floor. Robust: "
    "right answers to the attacked rows; where attack success is 0 by construction (PDB with two labels), behind it to "
    "rows of the target label with the trigger. Several seeds: over the rows of all, and behind ± the standard "
    "deviation over seeds. A number leads to its record, of several seeds to the first one's; `Every cell` has all."
)
COST_HEAD = (
    "attack",
    "defense",
    "accuracy change",
    "right only undefended",
    "only defended",
    "p",
    "p (Holm)",
    "could have seen",
)
COST_NOTE = (
    "Clean accuracy of the defended model less that of the undefended one, on the same rows: 95 % interval of Bonett "
    "and Price, McNemar's exact test, Holm's correction over the attacks of a defense. `Could have seen`: the smallest "
    "loss that these rows show with 80 % power; no smaller one is denied. Several seeds: mean, spread and paired "
    "interval over seeds behind the semicolon; a row that several seeds share counts once for each, so what stands in "
    "front of it is too sure then."
)
CONTROL_HEAD = ("attack", "defense", "control", "accuracy", "ASR deployed", "floor", "excess")
SEED_HEAD = ("cell", "record", "accuracy", "ASR", "ASR deployed", "floor", "excess", "seconds")
LEFT_OUT_HEAD = ("attack", "defense", "control", "rows left out", "poisoned among them", "recall", "precision")
LEFT_OUT_NOTE = (
    "Rows that are not taught with the answer that they came with, in the label space that is read. The defense never "
    "knows which rows are poisoned; this table does."
)
PRINTED_HEAD = (
    "task",
    "model",
    "attack",
    "defense",
    "reading",
    "ours is of",
    "printed",
    "rows",
    "ours",
    "difference",
    "verdict",
)
PRINTED_NOTE = (
    "Ours less the printed value with Newcombe's 95 % interval of two independent rates; `same` where it holds 0. "
    "Rows and recipes may differ. Where something of ours stands beside a printed value of another name, `ours is of` "
    "says what; the verdict on another model compares two models, not two implementations."
)


def result_tables(groups: Sequence[Group]) -> list[Table]:
    """A table for each task, model and recipe: every attack with every defense, missing ones too."""
    plain = undefended_of(groups)
    tables = []
    for title, members in _by_setting(groups):
        rows = [_result_row(group, plain.get(group.place)) for group in members if not group.place.control]
        tables.append(Table(f"Results: {title}", RESULT_HEAD, tuple(rows), RESULT_NOTE, left=3))
    return tables


def cost_tables(groups: Sequence[Group]) -> list[Table]:
    """What each defense costs in accuracy, beside the undefended model of the same rows."""
    plain = undefended_of(groups)
    tables = []
    for title, members in _by_setting(groups):
        found = []
        for group in members:
            other = plain.get(group.place)
            pair = group.beside(other) if other is not None and other is not group and not group.place.control else None
            if pair is not None and other is not None:
                found.append((group, other, pair))
        if not found:
            continue
        adjusted = _family_wise([(group.place.defense, pair.p_value) for group, _, pair in found])
        rows = []
        for (group, other, pair), p_value in zip(found, adjusted, strict=True):
            change = f"{points(pair.difference)} [{points(pair.low)}, {points(pair.high)}]"
            over = group.seedwise(other, "accuracy")
            if over is not None and over.sd is not None and over.low is not None and over.high is not None:
                change += f"; {points(over.mean)} ± {100 * over.sd:.1f} [{points(over.low)}, {points(over.high)}]"
            mark = "same" if pair.low <= 0 <= pair.high else "better" if pair.difference > 0 else "worse"
            numbers = (
                str(pair.only_first),
                str(pair.only_second),
                f"{pair.p_value:.3f}",
                f"{p_value:.3f}",
                f"{100 * pair.detectable:.1f}",
            )
            links = (other.link, *[group.link] * 4)
            cells = [TableCell(number, link) for number, link in zip(numbers, links, strict=True)]
            rows.append((*_names(group), TableCell(change, group.link, mark), *cells))
        tables.append(Table(f"Cost in accuracy: {title}", COST_HEAD, tuple(rows), COST_NOTE, left=2))
    return tables


def control_table(groups: Sequence[Group]) -> Table:
    """The controls: what the trigger does without poison, and what leaving out the poison alone costs."""
    rows = []
    for group in groups:
        if group.place.control not in (NEVER, PERFECT):
            continue
        names = (*_names(group), TableCell(group.place.control))
        if not group.records:
            rows.append((*names, _absent(group), *[TableCell("")] * 3))
            continue
        rows.append((*names, *(rate(group, name) for name in ("accuracy", "asr_deployed", "floor")), _excess(group)))
    return Table("Controls", CONTROL_HEAD, tuple(rows), left=3)


def seed_table(lines: Sequence[Line]) -> Table:
    """Every cell by itself, each seed with its own record."""
    rows = []
    for line in lines:
        if line.record is None:
            rows.append((TableCell(str(line.place)), _absent(line), *[TableCell("")] * (len(SEED_HEAD) - 2)))
            continue
        one = Group(line.place, (line,))
        rates = [rate(one, name) for name in ("accuracy", "asr", "asr_deployed", "floor")]
        cost = TableCell(f"{line.record.ledger.seconds:.1f}", one.link)
        rows.append((TableCell(str(line.place)), TableCell(line.id, one.link), *rates, _excess(one), cost))
    return Table("Every cell", SEED_HEAD, tuple(rows), left=2, folded=True)


def left_out_table(groups: Sequence[Group]) -> Table:
    """What each defense left out, as a search for the poisoned rows."""
    rows = []
    for group in groups:
        found = [record.teaching.left_out for record in group.records]
        left = LeftOut(sum(x.rows for x in found), sum(x.found for x in found), sum(x.poisoned for x in found))
        if left.rows:
            kind = TableCell(group.place.control)
            counts = (TableCell(str(left.rows), group.link), TableCell(f"{left.found} of {left.poisoned}", group.link))
            rates = (TableCell(str(found_rate), group.link) for found_rate in (left.recall, left.precision))
            rows.append((*_names(group), kind, *counts, *rates))
    return Table("What was left out", LEFT_OUT_HEAD, tuple(rows), LEFT_OUT_NOTE, left=3)


def printed_table(values: Sequence[Beside]) -> Table:
    """Ours beside printed values."""
    rows = []
    for each in values:
        value = each.printed
        names = [TableCell(name) for name in (*value.names, value.reading)]
        printed = TableCell(f"{value.value:g}" + (f" ({value.note})" if value.note else ""))
        cells = [*names, TableCell(_stand_in(each)), printed, TableCell(str(value.rows or "?"))]
        graded = each.group.score(value.reading) if each.group is not None else None
        if graded is not None and each.group is not None:
            cells += [TableCell(f"{100 * graded:.1f}", each.group.link), TableCell(""), TableCell("")]
        elif each.ours is None or each.group is None:
            why = "no cell" if each.group is None else each.group.why or each.group.state
            cells += [TableCell(why, mark="missing"), TableCell(""), TableCell("")]
        else:
            gap = each.difference
            shown = "" if gap is None else f"{points(gap.value)} [{points(gap.low)}, {points(gap.high)}]"
            cells += [TableCell(percent(each.ours), each.group.link), TableCell(shown)]
            cells.append(TableCell(each.verdict or "", mark=each.verdict or ""))
        rows.append(tuple(cells))
    return Table("Beside printed values", PRINTED_HEAD, tuple(rows), PRINTED_NOTE, left=6)


def _stand_in(each: Beside) -> str:
    """Names of ours that are others than the printed ones."""
    if each.group is None:
        return ""
    ours = (getattr(each.group.place, axis) for axis in AXES)
    return "; ".join(own for own, printed in zip(ours, each.printed.names, strict=True) if printed not in ("", own))


def rate(group: Group, name: str) -> TableCell:
    """A rate of a group with its interval, and over seeds."""
    found, spread = group.counted(name), group.spread(name)
    if found is None:
        return TableCell("-")
    over = f" ± {100 * spread.sd:.1f}" if spread is not None and spread.sd is not None else ""
    return TableCell(percent(found) + over, group.link)


def percent(found: Counted) -> str:
    """A rate in percent with Wilson's interval."""
    low, high = found.interval()
    return f"{100 * found.value:.1f} [{100 * low:.0f}, {100 * high:.0f}]"


def points(value: float) -> str:
    """A difference in points, with its sign."""
    return f"{100 * value:+.1f}"


def _by_setting(groups: Sequence[Group]) -> list[tuple[str, list[Group]]]:
    found: dict[Place, list[Group]] = {}
    for group in groups:
        found.setdefault(replace(group.place, attack="", defense="", control=""), []).append(group)
    return [(", ".join((place.task, place.model, place.recipe)), members) for place, members in found.items()]


def _result_row(group: Group, undefended: Group | None) -> tuple[TableCell, ...]:
    if not group.records:
        return (*_names(group), _absent(group), *[TableCell("")] * (len(RESULT_HEAD) - 3))
    rates = [rate(group, "accuracy"), _robust(group), *(rate(group, name) for name in ("asr", "asr_deployed", "floor"))]
    taught = sum(record.teaching.poison_taught for record in group.records)
    poisoned = sum(record.teaching.poisoned for record in group.records)
    honest = Counted(
        sum(r.teaching.honest_lost for r in group.records), sum(r.teaching.honest for r in group.records) or 1
    )
    outcome = group.outcome(undefended) or "-"
    counts = [TableCell(shown, group.link) for shown in (f"{taught} of {poisoned}", f"{100 * honest.value:.0f}")]
    return (*_names(group), TableCell(outcome, mark=outcome.replace(" ", "-")), _excess(group), *rates, *counts)


def _robust(group: Group) -> TableCell:
    found, of_target = rate(group, "robust"), group.counted("robust_target")
    return found if of_target is None else replace(found, text=f"{found.text}; target {percent(of_target)}")


def _absent(place: Group | Line) -> TableCell:
    """Why there are no numbers."""
    return TableCell(f"{place.state}: {place.why}".splitlines()[0], mark="missing")


def _excess(group: Group) -> TableCell:
    found, spread = group.excess(), group.spread("excess")
    if found is None:
        return TableCell("-")
    over = f" ± {100 * spread.sd:.1f}" if spread is not None and spread.sd is not None else ""
    return TableCell(f"{points(found.value)} [{points(found.low)}, {points(found.high)}]{over}", group.link)


def _names(group: Group) -> tuple[TableCell, TableCell]:
    return TableCell(group.place.attack), TableCell(group.place.defense)


def _family_wise(tests: Sequence[tuple[str, float]]) -> list[float]:
    """Holm's adjustment over the attacks of each defense, in the order that they came in."""
    found = [1.0] * len(tests)
    for defense in dict.fromkeys(name for name, _ in tests):
        places = [i for i, (name, _) in enumerate(tests) if name == defense]
        for i, value in zip(places, holm([tests[i][1] for i in places]), strict=True):
            found[i] = value
    return found
