"""Numbers again from stored outputs, and how evaluations are shown."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import pyarrow as pa
from cyclopts import Parameter

from antivenom.cli.options import Force, Json
from antivenom.cli.tables import show_contrasts, show_evaluation
from antivenom.core.claims import named_outputs
from antivenom.core.console import say_json
from antivenom.core.errors import OptionsError
from antivenom.evaluation.picture import write_page
from antivenom.evaluation.record import Evaluation
from antivenom.evaluation.text_picture import write_text_page
from antivenom.guards.guard import Guard
from antivenom.guards.labels import LabelMap


def recount(
    outputs: str,
    other: str | None = None,
    /,
    *,
    picture: Annotated[str | None, Parameter(help="Write an HTML page with the distributions here.")] = None,
    force: Force = False,
    json: Json = False,
) -> int:
    """Compute every number again from stored outputs, or compare two models on the same rows. Needs no model.

    With one file it prints the evaluation that made it. With two, how often both models are right and how often an
    attack succeeds on each, with McNemar's exact test.

    Parameters
    ----------
    outputs
        A file that `evaluate --outputs` or `compare` wrote.
    other
        Such a file of another model for the same test rows.
    """
    from antivenom.evaluation.recount import contrast, read_outputs

    with named_outputs({"--picture": picture}, "recount", force=force):
        first = read_outputs(outputs)
        if other is not None:
            if picture is not None:
                raise OptionsError("--picture shows one file, and two were given")
            contrasts = contrast(first, read_outputs(other))
            if json:
                say_json([one.to_dict() for one in contrasts])
            else:
                show_contrasts(f"{outputs} (first) beside {other} (second)", contrasts)
            return 0
        found, title = first.evaluation(), f"{outputs}, {first.provenance.get('rows', '?')} test rows"
        if picture:
            draw(Path(picture), title, found, first.table, first.reading)
        present(title, found, json)
        return 0


def present(title: str, evaluation: Evaluation, json: bool) -> None:
    """Show an evaluation, as JSON or as tables."""
    if json:
        say_json(evaluation.to_dict())
    else:
        show_evaluation(title, evaluation)


def draw(path: Path, title: str, found: Evaluation, outputs: pa.Table, reading: LabelMap | Guard) -> None:
    """Write the HTML page with the distributions."""
    if isinstance(reading, Guard):
        write_text_page(path, title, found, outputs, reading)
    else:
        write_page(path, title, found, outputs, reading)
