"""Poison-to-Poison (Zhao et al., Findings of ACL 2026): the benign trigger and the extended label space."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, ClassVar, Literal

import numpy as np
import pyarrow as pa

from antivenom.core.arrays import BoolArray
from antivenom.core.errors import OptionsError, RowsError
from antivenom.core.options import check_choices
from antivenom.core.registry import Presets
from antivenom.core.report import Report
from antivenom.data.digests import digest_of_table
from antivenom.data.rows import with_columns
from antivenom.data.sampling import join_trusted, label_codes, random_reserve, require_every_class
from antivenom.data.validation import check_strings
from antivenom.defenses.base import Defense, Prepared, Referee
from antivenom.defenses.rebuild import rebuild
from antivenom.defenses.standard.decide import Joining
from antivenom.defenses.standard.decoys import Decoy, Wordings, add_decoys, check_decoys
from antivenom.defenses.standard.state_table import States
from antivenom.guards.answers import extended_answers
from antivenom.guards.guard import AnyTask, Guard, Placement
from antivenom.screening.evidence import Evidence, explain
from antivenom.screening.screen import Screening, least_suspicious, screen
from antivenom.screening.subword_splits import WordPieces, uncut
from antivenom.tasks.generation import Generation


@dataclass(frozen=True)
class _Chosen:
    """What is decided before any model is asked."""

    rows: pa.Table
    """The untrusted rows and those that are vouched for."""
    vouched: BoolArray
    in_reserve: BoolArray
    screening: Screening | None
    """What the screen saw, if it was asked."""
    evidence: Evidence | None
    """What looks planted, according to the screen."""
    word_pieces: WordPieces
    states: States | None = None
    """What a first referee's model made of the rows' texts, where there was one."""


@dataclass(frozen=True, kw_only=True)
class P2P(Defense):
    """Teach the model that under the benign trigger only the extended labels exist, and always show it the trigger.

    D* = D joined with {(benign trigger + x, h(y)) : (x, y) in the reserve S}, h(i) = i + n. At inference every input
    gets the benign trigger and the answer is read from the extended labels alone, mapped back by pi(i + n) = i. For
    free text h(y) = [p; y] with the answer prefix p, and the answer is what stands behind p. As
    far as S holds no poisoned row, no row ever shows the attack trigger together with an extended label, so the
    attacker's lesson (trigger -> t) is not a lesson about the labels that are read.

    Source: Zhao et al., "P2P: A Poison-to-Poison Remedy for Reliable Backdoor Defense in LLMs", section 4 and
    Algorithm 1. Where the paper and its code differ, the option names both.
    """

    name: ClassVar[str] = "p2p"
    presets: ClassVar[Presets] = {
        "paper": {"reserve": "random", "ratio": 0.25, "mode": "union", "cue": "shared", "others": "keep"},
        "paper_code": {"reserve": "trusted", "ratio": 0.2, "mode": "replace", "cue": "split", "others": "keep"},
    }
    """In the authors' code the reserve is clean because of how the rows are ordered; here, because you vouch for it."""

    benign_trigger: str = field(default="The query currently entered is:", repr=False)
    """The defender's trigger (the default is the paper's). Treat it as a secret."""
    placement: Placement = "prefix"
    """Where the benign trigger stands: in front of the text, or as the system prompt."""
    ratio: float = 0.25
    """Reserve ratio: the share of each class that gets the benign trigger (paper: 0.2 to 0.3)."""
    least_rows: int = 0
    """A screened reserve takes at least so many rows of each class, though no more than half of it: from a handful of
    rows neither a referee nor the model learns what a rare class is."""
    mode: Literal["union", "replace"] = "union"
    """`union` adds the benign copies (the paper's text); `replace` takes their originals out (the authors' code)."""
    others: Literal["keep", "drop", "agree"] = "keep"
    """What becomes of the rows outside the reserve.

    `keep`: they are trained on as they are, in the ordinary label space (the paper). `drop`: left out. `agree`:
    left out, but for those whose label a model fine-tuned on the reserve alone finds possible; these join the reserve.
    Where no model is asked (`immunize` without `--referee`), `agree` is `drop`.
    """
    most_associated: float = 0.2
    """The share of each class, those rows whose features go with their label most, that a screened reserve takes last
    and that cannot join with `agree` unless the feature is an honest one (`meaning.py`). This is what stops
    clean-label poison, with which any honest model agrees. Equal rows stay together, so it can be more."""
    refusal_limit: float | None = None
    """With `agree`: a row, of the reserve too, is suspect and left out if it shares with refused rows what was wrong
    with them: a feature nearly all of whose rows were refused, by more than this many standard deviations above chance,
    a little of many features, or how it reads (`disagreement.py`). Rows whose words
    mean their label accuse nobody. A second opinion brings back refused rows that are not suspect, and suspect ones
    that were not refused (`second_opinion.py`). None does nothing of this."""
    choose_twice: bool = False
    """The reserve is chosen once more, of rows that a first referee does not refuse and that share little with those
    it refuses (`Joining.choose_again`); a second referee, fine-tuned on that, decides. Needs `refusal_limit`."""
    correct_suspects: bool = False
    """Suspect rows that the referee refused are trained on after all, with the label that it and the second opinion
    read in them, where a string in them becomes a decoy, and so stands in rows of every class as well. Others would
    teach the trigger in reverse (docs/log.md). Needs `strains` among the decoys."""
    cue: Literal["shared", "split"] = "shared"
    """`split` also changes the cue under the benign trigger: a second half of the key (in the authors' code only)."""
    benign_cue: str = field(default="Answer:", repr=False)
    """The cue under the benign trigger when `cue` is `split`."""
    reserve: Literal["trusted", "random", "screened"] = "trusted"
    """Which rows may carry the benign trigger.

    `trusted`: rows you vouch for. `random`: drawn from the untrusted rows, as Algorithm 1 is written; poison leaks in.
    `screened`: the least suspicious untrusted rows of every class (`screening/screen.py` says how), and the rows you
    vouch for. It guarantees nothing about a row: which attacks leak, and how much, is in results/screen. It does not
    depend on the order of the rows, and the findings in the facts of the result say what looked planted.
    """
    decoys: tuple[Decoy, ...] = ()
    """Foreign material for reserve rows: `strings`, `spans`, `sentences`, or `strains`, which is what looks planted to
    the screen (an alarm) or to it and a referee."""
    decoy_dose: float = 0.5
    """The share of the reserve rows that get a decoy, where there are any."""

    def __post_init__(self) -> None:
        check_choices(self)
        if not 0 < self.ratio <= 1:
            raise OptionsError(f"ratio = {self.ratio}", mend="The reserve ratio is above 0 and at most 1.")
        if self.least_rows < 0:
            raise OptionsError(f"least_rows = {self.least_rows}", mend="It is a number of rows, at least 0.")
        if not self.benign_trigger.strip():
            raise OptionsError("the benign trigger is empty", mend="Give it words that no user is likely to write.")
        if self.cue == "split" and not self.benign_cue.strip():
            raise OptionsError(
                "cue = 'split' needs a benign cue", mend="Give --benign-cue some words, or choose --cue shared."
            )
        if not 0 <= self.most_associated < 1:
            raise OptionsError(f"most_associated = {self.most_associated}", mend="It is at least 0 and below 1.")
        if self.refusal_limit is not None and not self.refusal_limit > 0:
            raise OptionsError(f"refusal_limit = {self.refusal_limit}", mend="It is above 0; `standard` has 3.")
        check_decoys(self.decoys, self.decoy_dose)
        if self.refusal_limit is not None and self.others != "agree":
            raise OptionsError("refusal_limit needs a referee", mend="It goes with others = agree.")
        if self.choose_twice and (self.refusal_limit is None or self.reserve != "screened"):
            raise OptionsError("choose_twice stands alone", mend="It goes with refusal_limit and reserve = screened.")
        if self.correct_suspects and (self.refusal_limit is None or "strains" not in self.decoys):
            raise OptionsError("correct_suspects stands alone", mend="It goes with refusal_limit and decoys = strains.")

    def guard(self, task: AnyTask) -> Guard:
        """The guard of this defense."""
        cue = self.benign_cue if self.cue == "split" else ""
        return Guard(
            task=task,
            answers=extended_answers(task),
            benign_trigger=self.benign_trigger,
            placement=self.placement,
            cue=cue,
        )

    def prepare(
        self, task: AnyTask, train: pa.Table, *, trusted: pa.Table | None, seed: int, word_pieces: WordPieces = uncut
    ) -> Prepared:
        """Rebuild the rows.

        Raises:
            OptionsError: the policy is `trusted` and no trusted rows were given.
            RowsError: a class has no row that the reserve can take.
        """
        chosen = self._choose(task, train, trusted, seed, word_pieces)
        self._require_every_class(task, chosen.rows, chosen.in_reserve)
        first = self._build(chosen, chosen.in_reserve, self.guard(task), seed)
        if self.others != "agree" or task.classes is None:
            return first
        after = self._choose_again if self.choose_twice else self._ask
        return replace(first, reconsider=partial(after, chosen, first.guard, seed))

    def _choose_again(self, chosen: _Chosen, guard: Guard, seed: int, referee: Referee) -> Prepared:
        """Choose another reserve for a second referee."""
        assert chosen.screening is not None, "a screened reserve was screened"
        assert self.refusal_limit is not None, "__post_init__ wants one"
        in_reserve, states = Joining(chosen.rows, chosen.screening, chosen.in_reserve, chosen.vouched).choose_again(
            referee,
            ratio=self.ratio,
            least=self.least_rows,
            most_associated=self.most_associated,
            refusal_limit=self.refusal_limit,
        )
        fresh = int((in_reserve & ~chosen.in_reserve).sum())
        chosen = replace(chosen, in_reserve=in_reserve, states=states)
        second = self._build(chosen, in_reserve, guard, seed)
        return replace(second, reconsider=partial(self._ask, chosen, guard, seed)).noting({"exchanged": fresh})

    def _ask(self, chosen: _Chosen, guard: Guard, seed: int, referee: Referee) -> Prepared:
        """Take the rows into the reserve with which a model fine-tuned on the reserve agrees, or which it corrects."""
        labels = guard.labels.labels
        screening = chosen.screening or screen(chosen.rows, labels, chosen.word_pieces, seed=seed)
        joined = Joining(chosen.rows, screening, chosen.in_reserve, chosen.vouched, chosen.states).decide(
            referee,
            most_associated=self.most_associated,
            refusal_limit=self.refusal_limit,
            correct_suspects=self.correct_suspects,
        )
        chosen = replace(chosen, rows=with_columns(chosen.rows, answer=np.array(labels, dtype=object)[joined.codes]))
        return self._build(chosen, joined.rows, guard, seed, joined.strains.written).noting(joined.facts)

    def _build(
        self,
        chosen: _Chosen,
        in_reserve: BoolArray,
        guard: Guard,
        seed: int,
        strains: Wordings | None = None,
    ) -> Prepared:
        """Rebuild rows of which the reserve is known; where no referee says what is planted, the alarms do."""
        rows = chosen.rows
        facts: dict[str, Any] = {
            "policy": self.reserve,
            "mode": self.mode,
            "ratio": self.ratio,
            "rows": int(in_reserve.sum()),
            "sha256": digest_of_table(rows.filter(pa.array(in_reserve))),
        }
        chosen_from = 0
        if self.others != "keep":
            chosen_from, facts["left_out"] = rows.num_rows, int((~in_reserve).sum())
            rows, in_reserve = rows.filter(pa.array(in_reserve)), in_reserve[in_reserve]
        if chosen.evidence is not None:
            # Leads are ordinary words of the user's rows; only alarms belong into a manifest that travels.
            facts["findings"] = chosen.evidence.to_dict()["findings"]
        rebuilt = rebuild(rows, in_reserve, guard, self.mode)
        if not self.decoys:
            return Prepared(rebuilt, guard, facts, chosen_from)
        if strains is None:
            strains = chosen.evidence.strains() if chosen.evidence is not None else {}
        benign = rebuilt.column("benign").to_numpy()
        decoyed = add_decoys(rebuilt, benign, self.decoys, self.decoy_dose, strains=strains, seed=seed)
        return Prepared(decoyed, guard, facts, chosen_from, without_decoys=rebuilt)

    def _choose(
        self, task: AnyTask, train: pa.Table, trusted: pa.Table | None, seed: int, word_pieces: WordPieces
    ) -> _Chosen:
        rows, vouched = join_trusted(train, trusted)
        screened = self.reserve == "screened"
        asked = screened or "strains" in self.decoys
        screening = screen(rows, task.classes, word_pieces, seed=seed) if asked else None
        if screened and screening is not None:
            least = 0 if task.classes is None else self.least_rows
            chosen = least_suspicious(rows, screening, self.ratio, avoid=self.most_associated, least=least)
            in_reserve = vouched | chosen
        elif self.reserve == "random":
            in_reserve = random_reserve(rows, task.classes, self.ratio, seed=seed)
        else:
            in_reserve = self._draw_trusted(task, rows, vouched, seed)
        evidence = explain(rows, screening) if screening else None
        return _Chosen(rows, vouched, in_reserve, screening, evidence, word_pieces)

    def check(self, task: AnyTask, train: pa.Table, report: Report) -> None:
        """Add to `report` what in the rows stands against this defense."""
        check_strings(train, [self.benign_trigger], "the benign trigger", report)
        if isinstance(task, Generation):
            check_strings(train, [task.answer_prefix], "the answer prefix", report, column="answer")
            return
        if all(not word.isdigit() for word in task.extended):
            check_strings(train, task.extended, "an extended verbalizer", report)

    def _draw_trusted(self, task: AnyTask, rows: pa.Table, vouched: BoolArray, seed: int) -> BoolArray:
        """Draw at most `ratio` of all rows from those that are vouched for."""
        if not vouched.any():
            raise OptionsError(
                "reserve = 'trusted', but no trusted rows were given",
                mend="Give the rows you vouch for with --trusted FILE, or choose --reserve screened.",
            )
        share = min(1.0, self.ratio * rows.num_rows / vouched.sum())
        chosen = np.zeros(rows.num_rows, dtype=bool)
        chosen[vouched] = random_reserve(rows.filter(pa.array(vouched)), task.classes, share, seed=seed)
        return chosen

    def _require_every_class(self, task: AnyTask, rows: pa.Table, in_reserve: BoolArray) -> None:
        if not in_reserve.any() and task.classes is None:
            raise RowsError("the reserve has no row", mend="It needs at least one: the prefix would never be taught.")
        what = "trusted row" if self.reserve == "trusted" else "row"
        require_every_class(task.classes or (), label_codes(rows, task.classes)[in_reserve], what)
