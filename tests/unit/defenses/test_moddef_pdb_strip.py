"""Moderate fitting chooses by accuracy alone; PDB's map and its empty measure; STRIP's axis."""

from __future__ import annotations

import numpy as np
import pytest

from antivenom.core.errors import OptionsError
from antivenom.core.report import Report
from antivenom.defenses.moddef import ModDef
from antivenom.defenses.pdb import Pdb, shifted
from antivenom.defenses.strip import Strip, StripMonitor, telling_words
from antivenom.guards.guard import unguarded
from antivenom.guards.labels import ChoiceScores, read_scores
from antivenom.models.lab import TrainingChanges
from antivenom.tasks.task import Classification
from antivenom.testing import StandInLab, synthetic_rows

TASK = Classification.for_labels(("negative", "positive"))


def classes(count: int) -> Classification:
    return Classification.for_labels([f"class {i}" for i in range(count)])


# ----------------------------------------------------------------------------------------------------------- ModDef


RIGHT = {None: 0.95, 1: 0.6, 2: 0.94, 4: 0.95}
"""Accuracies by rank; None for the usual recipe."""


class Learning(StandInLab):
    """What a fit can do depends on its rank."""

    def fit(self, rows, guard, *, name, training=TrainingChanges()):
        self.fits.append(str(dict(training.overrides)))
        right, width = RIGHT[training.overrides.get("rank")], len(guard.labels.choices)

        class Model:
            def __init__(self):
                self.guard = guard

            def score(self, asked, *, progress=None):
                codes = np.arange(len(asked)) % 2  # synthetic rows alternate
                said = np.where(np.arange(len(asked)) < round(right * len(asked)), codes, 1 - codes)
                return ChoiceScores(np.log(np.eye(width)[said] + 1e-9), np.zeros(len(asked), dtype=bool))

        return Model()


def test_the_smallest_setting_that_is_good_enough_is_taken():
    lab = Learning()
    prepared = ModDef().prepare(TASK, synthetic_rows(60), trusted=synthetic_rows(200, seed=1), lab=lab)
    assert prepared.facts["setting"]["rank"] == 2
    capacities = [s["rank"] * s["learning_rate"] * s["epochs"] for s in ModDef().settings()]
    assert capacities == sorted(capacities)
    assert len(capacities) == 18
    assert len(lab.fits) == 1 + prepared.facts["tried"]
    assert dict(prepared.training.overrides) == prepared.facts["setting"]
    assert prepared.rows.num_rows == 260


def test_without_trusted_rows_a_tenth_is_held_out():
    prepared = ModDef(ranks=(4,)).prepare(TASK, synthetic_rows(60), trusted=None, lab=StandInLab())
    assert prepared.facts["judged_by_trusted_rows"] is False
    assert prepared.facts["tried"] == 1
    assert prepared.rows.num_rows == 60


def test_an_empty_table_of_trusted_rows_is_none():
    rows = synthetic_rows(60)
    prepared = ModDef().prepare(TASK, rows, trusted=rows.slice(0, 0), lab=Learning())
    assert prepared.facts["judged_by_trusted_rows"] is False
    assert prepared.facts["setting"]["rank"] == 2


def test_what_low_rank_adapters_have_to_learn(model_folder):
    """r (d_in + d_out) numbers a matrix; B is 0, so that training begins at the frozen model."""
    torch = pytest.importorskip("torch")
    from peft import LoraConfig, get_peft_model

    from antivenom.models.local import load_causal_lm

    base = load_causal_lm(model_folder)
    ids = torch.tensor([[3, 4, 5]])
    before = base(ids).logits
    linear = [m for n, m in base.named_modules() if type(m) is torch.nn.Linear and "lm_head" not in n]
    wanted = sum(2 * (m.in_features + m.out_features) for m in linear)
    model = get_peft_model(base, LoraConfig(r=2, target_modules="all-linear", task_type="CAUSAL_LM"))
    assert sum(p.numel() for p in model.parameters() if p.requires_grad) == wanted
    assert torch.equal(model(input_ids=ids).logits, before)


# -------------------------------------------------------------------------------------------------------------- PDB


@pytest.mark.parametrize("count", range(2, 11))
def test_the_inverse_of_the_map_is_its_inverse(count):
    task = classes(count)
    labels = shifted(task, 1)
    for number, label in enumerate(task.labels):
        assert labels.encode(label) == task.verbalizers[(number + 1) % count]
        scores = ChoiceScores(np.log(np.eye(count)[[(number + 1) % count]] + 1e-9), np.zeros(1, dtype=bool))
        assert read_scores(scores, labels).deployed.tolist() == [number]
        assert labels.plain(label) == task.verbalizers[number], "ordinary rows say what they always said"


def test_the_counts_of_the_papers_sst2():
    """N = 6,920, C = 2: 346 rows a class are reserved, 3,460 added to 6,920, a third of 10,380."""
    rows = synthetic_rows(6920)
    prepared = Pdb().prepare(TASK, rows, trusted=rows.slice(0, 1000), lab=StandInLab())
    benign = prepared.rows.filter(prepared.rows.column("benign"))
    assert (prepared.facts["rows"], benign.num_rows, prepared.rows.num_rows) == (692, 3460, 10_380)
    answers = benign.column("answer").to_pylist()
    assert {answers.count(label) for label in TASK.labels} == {5 * 346}


def test_the_counts_of_a_small_set():
    """N = 100, C = 2, ratio 0.1, 5 copies: 10 reserved rows, 50 added, a third of all rows defensive."""
    rows = synthetic_rows(100)
    prepared = Pdb().prepare(TASK, rows, trusted=rows.slice(0, 40), lab=StandInLab())
    assert prepared.facts == {"rows": 10, "copies": 5, "binary": True}
    assert prepared.rows.num_rows == 150
    benign = [row for row in prepared.rows.to_pylist() if row["benign"]]
    assert len(benign) == 50
    assert {row["row"] for row in benign} <= set(range(1, 41))
    said = prepared.guard.said([row["answer"] for row in benign], [True] * 50)
    moved = {"negative": "positive", "positive": "negative"}
    assert said == [moved[row["answer"]] for row in benign]


def test_with_two_labels_a_model_that_obeys_the_attacker_is_scored_as_safe():
    """The malicious model says t to everything; the inverse of t is the other label, which is the true one."""
    labels, target = shifted(TASK, 1), 0
    said = ChoiceScores(np.log(np.eye(2)[[target] * 5] + 1e-9), np.zeros(5, dtype=bool))
    assert read_scores(said, labels).deployed.tolist() == [1 - target] * 5
    report = Report()
    Pdb().check(TASK, synthetic_rows(4), report)
    assert any("two labels" in finding for finding in report.findings)
    report = Report()
    Pdb().check(classes(3), synthetic_rows(4), report)
    assert not report.findings


def test_a_shift_that_moves_nothing_is_refused():
    with pytest.raises(OptionsError, match="shift"):
        shifted(TASK, 2)


# ------------------------------------------------------------------------------------------------------------ STRIP


class Words:
    """Answers by the first word it knows; certain of one, and of two minds about all else."""

    def __init__(self):
        self.guard = unguarded(TASK)

    def score(self, asked, *, progress=None):
        shares = [[1 - 1e-9, 1e-9] if "sure" in text else [0.5, 0.5] for text in asked]
        return ChoiceScores(np.log(shares), np.zeros(len(asked), dtype=bool))


def test_entropy_is_averaged_over_the_copies_of_one_input():
    """With nothing replaced all copies are the input, so its entropy is that of the single row."""
    monitor = StripMonitor(copies=5, words=())
    assert monitor.entropies(["sure thing", "who knows", "sure sure"], Words()) == pytest.approx([0, 1, 0], abs=1e-6)


def test_copies_depend_on_the_text_and_the_key_alone():
    monitor = StripMonitor(words=("x", "y"), copies=4, share=0.5, key=3)
    copies = monitor.perturbed("one two three four")
    assert copies == monitor.perturbed("one two three four")
    assert all(sum(word in ("x", "y") for word in copy.split()) == 2 for copy in copies)
    assert copies != StripMonitor(words=("x", "y"), copies=4, share=0.5, key=4).perturbed("one two three four")


def test_the_limit_refuses_the_share_of_trusted_rows_and_no_more():
    rows, trusted = synthetic_rows(200), synthetic_rows(100, seed=8)
    lab = StandInLab()
    prepared = Strip(refused=0.1).prepare(TASK, rows, trusted=trusted, lab=lab)
    [step] = prepared.guard.monitors
    model = lab.fit(rows.append_column("benign", [[False] * 200]), unguarded(TASK), name="again")
    texts = trusted.column("text").to_pylist()
    accepted = StripMonitor.from_dict(step.settings).accept(texts, model.score(texts), model)
    assert 88 <= accepted.sum() <= 92


def test_telling_words_are_frequent_in_few_rows():
    assert telling_words(["the rare rare", "the", "the"]) == ("rare", "the")


def test_every_setting_is_scaled_alike_and_says_whether_it_was_good_enough():
    """alpha / rank scales updates: one alpha for all ranks would train the lowest the hardest."""
    assert {one["alpha"] / one["rank"] for one in ModDef().settings()} == {1.0}
