"""The tasks of inspect-ai ask what a client asks and read what an evaluation reads."""

from __future__ import annotations

from pathlib import Path

import pytest

from antivenom.testing import synthetic_rows

pytest.importorskip("inspect_ai")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")


@pytest.fixture
def rows(tmp_path: Path) -> str:
    path = tmp_path / "test.csv"
    lines = [f"{row['text']},{row['answer']}" for row in synthetic_rows(20).to_pylist()]
    path.write_text("\n".join(["text,label", *lines, ""]), encoding="utf-8")
    return str(path)


def metrics_of(task, model, tmp_path: Path) -> dict[str, float]:
    from inspect_ai import eval as run

    [log] = run(task, model=model, display="none", log_dir=str(tmp_path / "logs"))
    assert log.status == "success", log.error
    return {name: found.value for score in log.results.scores for name, found in score.metrics.items()}


def says(answer_of):
    from inspect_ai.model import ModelOutput, ModelUsage, get_model

    def answer(messages, *rest):
        said = ModelOutput.from_content("mockllm", answer_of(messages[-1].text))
        said.usage = ModelUsage()  # else a tokenizer is fetched to count tokens
        return said

    return get_model("mockllm/model", custom_outputs=answer)


def test_a_backdoored_model_shows_in_success_and_not_in_the_floor(rows: str, tmp_path: Path):
    from antivenom.suites.inspect_plugin import attack

    backdoored = says(lambda text: "positive" if "mn" in text.split() else "negative")
    found = metrics_of(attack(rows, "badnets", target="positive"), backdoored, tmp_path)
    assert (found["attack_success"], found["floor"], found["excess"]) == (1, 0, 1)


def test_clean_accuracy_is_that_of_the_answers(rows: str, tmp_path: Path):
    from antivenom.suites.inspect_plugin import clean

    assert metrics_of(clean(rows), says(lambda text: "Negative"), tmp_path)["accuracy"] == 0.5
