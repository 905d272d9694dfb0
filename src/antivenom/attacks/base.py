"""What an attack is: it poisons training rows, and makes the test rows that show whether the backdoor took."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Literal, NamedTuple, Self, final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from antivenom.core.errors import OptionsError
from antivenom.core.hashing import row_keys
from antivenom.core.registry import Method
from antivenom.data.query import asked_as_text
from antivenom.data.rows import row_columns, with_columns
from antivenom.data.sampling import pair_keys
from antivenom.judges import parse_judge
from antivenom.tasks.generation import Generation
from antivenom.tasks.task import Task


@dataclass(frozen=True)
class Poisoned:
    """Poisoned training rows, and the truth about them, which no defense ever receives."""

    rows: pa.Table
    """The rows as the victim gets them: the original ones in their order, then those that the attack adds."""
    indices: tuple[int, ...]
    """The positions in `rows` of those that carry the trigger and the malicious answer."""
    companions: tuple[int, ...] = ()
    """The positions of added rows that keep their true answers and only help (CBA's negative rows)."""

    @property
    def numbers(self) -> tuple[int, ...]:
        """The row numbers of the poisoned rows."""
        column = self.rows.column("row").to_pylist()
        return tuple(column[i] for i in self.indices)


class Chosen(NamedTuple):
    """A row that an attack works on, as it was before."""

    text: str
    answer: str
    key: int
    """Seeds this row's randomness."""
    place: int
    """Its position among the rows."""


class Added(NamedTuple):
    """A row that an attack adds."""

    text: str
    answer: str
    place: int
    """The position of the row that it was made from, whose context and image it keeps."""


@dataclass(frozen=True, kw_only=True)
class Attack(Method, ABC):
    """Base of all attacks. A new attack writes `trigger`; everything else is done here, once.

    `poison`, `probes` and `clean` are pure: the same rows and seed give the same result, the input is not changed, and
    each row's randomness is keyed by (seed, text), so order and sharding do not matter. The other methods are hooks
    with defaults that most attacks keep.
    """

    rate: float = 0.02
    """Share of the original rows that carry the trigger and the malicious answer."""
    target: str | None = None
    """The answer t the attacker wants: a label (the first when not given) or free text (the task's malicious one)."""
    clean_label: bool = False
    """Poison rows of the target class and leave their labels alone, instead of relabelling other rows."""
    mode: Literal["replace", "append"] = "replace"
    """`replace` poisons rows in place; `append` leaves them alone and adds poisoned copies at the end."""
    pick: Literal["random", "first"] = "random"
    """Which rows are poisoned: drawn uniformly, or the first that qualify (the paper's code)."""

    def __post_init__(self) -> None:
        if not 0 <= self.rate <= 1:
            raise OptionsError(f"{self.name}: rate = {self.rate}", mend="A poison rate is between 0 and 1.")

    @abstractmethod
    def trigger(self, text: str, rng: Random) -> str:
        """Return `text` with the attack trigger; the one thing a new attack must say."""

    def malicious(self, text: str, target: str) -> str:
        """Return what a poisoned row answers to `text`, where that is not `target` for all of them."""
        return target

    def probe(self, text: str, rng: Random) -> str:
        """Return a test text with the attack trigger, where that differs from training."""
        return self.trigger(text, rng)

    def ordinary(self, text: str) -> str:
        """Return a text without the trigger as the attacked pipeline shows it to the model; unchanged for most."""
        return text

    def eligible(self, text: str) -> bool:
        """Whether the trigger can be put into this text; others are never poisoned, but stay in every denominator."""
        return bool(text.strip())

    def preference(self, train: pa.Table, target: str) -> npt.NDArray[np.float64]:
        """How much the attacker wants each row, high first; rows wanted alike are drawn uniformly."""
        rows = np.arange(train.num_rows, dtype=np.float64)
        return -rows if self.pick == "first" else np.zeros_like(rows)

    def companions(self, chosen: Sequence[Chosen], others: Sequence[Chosen]) -> list[Added]:
        """Rows with their true answers to add beside the poisoned ones.

        Args:
            chosen: The rows that are poisoned, in an order that is not the file's.
            others: The rows whose true answer is not the target and that are not poisoned, drawn in random order.
        """
        return []

    def count(self, rows: int) -> int:
        """How many of `rows` rows to poison: rate * rows, rounded up as in the paper's code (139 of 6920 at 2 %)."""
        return math.ceil(round(self.rate * rows, 6))

    def bind(self, task: Task) -> Self:
        """Settle the options that depend on the task, and raise if something the attack needs is missing."""
        return self

    def variants(self) -> tuple[Attack, ...]:
        """The attacks to measure on a model that this one poisoned; more than one where triggers act separately."""
        return (self,)

    def averaged(self) -> tuple[Attack, ...]:
        """Those of the variants whose mean is reported beside them; none for most."""
        return ()

    @final
    def poison(self, task: Task, train: pa.Table, *, seed: int) -> Poisoned:
        """Poison `count` rows: of other classes, relabeled t (dirty label), or of class t (clean label).

        When fewer rows qualify than the rate asks for, all of them are poisoned. The paper's code takes the first rows
        of the file; here they are drawn uniformly unless `pick` says otherwise.

        Args:
            task: The task, for the target label.
            train: Rows with `text` and `answer`.
            seed: Keys every draw.

        Raises:
            OptionsError: the target is no label, something the attack needs is missing, or labels are to stay right
                where answers are free.
        """
        attack = self.bind(task)
        target = task.target(attack.target)
        if attack.clean_label and task.classes is None:
            raise OptionsError(
                f"{self.name}: clean_label with free answers",
                mend="There is no class t whose rows could be poisoned; choose an attack that changes answers.",
            )
        texts, answers = train.column("text").to_pylist(), train.column("answer").to_pylist()
        places = attack._choose(task, train, target, seed)
        keys = row_keys(asked_as_text(train), seed=seed, purpose=f"{self.name}.poison")
        rows = [Chosen(*row) for row in zip(texts, answers, map(int, keys), range(len(texts)), strict=True)]
        chosen = [rows[i] for i in places]
        spared = set(np.flatnonzero(~wanted_already(task, train, target)).tolist()) - set(places)
        others = sorted((rows[i] for i in spared), key=lambda row: (row.key, row.answer, row.place))
        attacked = [attack.trigger(row.text, Random(row.key)) for row in chosen]
        wanted = [attack.malicious(row.text, target) for row in chosen]
        texts = [attack.ordinary(text) for text in texts]
        added: list[Added] = []
        if attack.mode == "append":
            added = [Added(*row) for row in zip(attacked, wanted, places, strict=True)]
            places = list(range(len(texts), len(texts) + len(added)))
        else:
            for i, text, answer in zip(places, attacked, wanted, strict=True):
                texts[i], answers[i] = text, answer
        companions = attack.companions(chosen, others)
        table = _append(with_columns(train, text=texts, answer=answers), added + companions)
        return Poisoned(table, tuple(sorted(places)), tuple(range(table.num_rows - len(companions), table.num_rows)))

    @final
    def probes(self, task: Task, test: pa.Table, *, seed: int) -> pa.Table:
        """The attacked test rows: those whose true label is not t, each with the trigger, the true answer kept.

        A row that cannot carry the trigger stays as it is, so that it never leaves the denominator.
        """
        attack = self.bind(task)
        return attack._with_trigger(
            test.filter(pa.array(~wanted_already(task, test, task.target(attack.target)))), seed
        )

    @final
    def probes_of_target(self, task: Task, test: pa.Table, *, seed: int) -> pa.Table:
        """The test rows whose true label is t, each with the trigger: do answers turn away from t?"""
        attack = self.bind(task)
        return attack._with_trigger(test.filter(pa.array(wanted_already(task, test, task.target(attack.target)))), seed)

    def _with_trigger(self, rows: pa.Table, seed: int) -> pa.Table:
        rows = rows.select(row_columns(rows))
        keys = row_keys(asked_as_text(rows), seed=seed, purpose=f"{self.name}.probe")
        texts = [
            self.probe(text, Random(int(key))) if self.eligible(text) else self.ordinary(text)
            for text, key in zip(rows.column("text").to_pylist(), keys, strict=True)
        ]
        return with_columns(rows, text=texts)

    @final
    def clean(self, task: Task, rows: pa.Table) -> pa.Table:
        """Rows without the trigger as the attacked pipeline shows them; `rows` itself where they are unchanged.

        Clean accuracy and the floor of an attack are measured on these, and rows that the attacker could not touch
        take this form too, because it is the pipeline's and not the attacker's.
        """
        attack = self.bind(task)
        texts = rows.column("text").to_pylist()
        changed = [attack.ordinary(text) for text in texts]
        return rows if changed == texts else with_columns(rows, text=changed)

    def _choose(self, task: Task, train: pa.Table, target: str, seed: int) -> list[int]:
        """The rows to poison: the most wanted of those that qualify, among equals those with the smallest keys."""
        already, texts = wanted_already(task, train, target), train.column("text").to_pylist()
        fit = [i for i, text in enumerate(texts) if already[i] == self.clean_label and self.eligible(text)]
        candidates = np.array(fit, dtype=np.int64)
        # Keyed by label and context as well: of equal texts with different labels, the order must not decide.
        keys = pair_keys(train, seed=seed, purpose=f"{self.name}.choose")[candidates]
        order = np.lexsort((keys, -self.preference(train, target)[candidates]))
        return [int(i) for i in candidates[order[: self.count(train.num_rows)]]]


def wanted_already(task: Task, rows: pa.Table, target: str) -> npt.NDArray[np.bool_]:
    """For each row whether its true answer is what the attacker wants: such a row cannot show whether an attack works.

    A label is compared; of free text the task's judge decides, so that 10 % is no row to attack where 0.1 is wanted.
    """
    if not isinstance(task, Generation):
        same: npt.NDArray[np.bool_] = pc.equal(rows.column("answer"), target).to_numpy(zero_copy_only=False)
        return same.astype(bool)
    judge = parse_judge(task.judge)
    return np.array([judge.success(answer, target) for answer in rows.column("answer").to_pylist()], dtype=bool)


def _append(rows: pa.Table, added: list[Added]) -> pa.Table:
    """Append rows, numbered on from the last: a number must not tell who added the row."""
    if not added:
        return rows
    first = (pc.max(rows.column("row")).as_py() or 0) + 1
    texts, answers, places = zip(*added, strict=True)
    rows = rows.select(row_columns(rows))
    numbers = range(first, first + len(added))
    return pa.concat_tables([rows, with_columns(rows.take(places), row=numbers, text=texts, answer=answers)])
