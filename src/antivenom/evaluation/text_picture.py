"""An evaluation of free answers as one HTML page: the readings, and what the model said to the first rows.

The page holds everything it shows; it loads nothing and runs no script.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from antivenom.core.files import atomic_write
from antivenom.evaluation.record import Evaluation
from antivenom.guards.answers import AnswerPrefix
from antivenom.guards.guard import Guard

SHOWN = 10


def text_page(title: str, evaluation: Evaluation, outputs: pa.Table, guard: Guard) -> str:
    """Render the page. Every text in it is escaped: rows, attacks and outputs are untrusted."""
    from jinja2 import Environment

    assert isinstance(guard.answers, AnswerPrefix), guard.answers
    shown = {}
    for condition in dict.fromkeys(outputs.column("condition").to_pylist()):
        rows = outputs.filter(pc.equal(outputs.column("condition"), condition)).slice(0, SHOWN)
        shown[condition] = [_said(row, guard.answers) for row in rows.to_pylist()]
    template = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(TEMPLATE)
    return template.render(title=title, e=evaluation, shown=shown)


def write_text_page(path: Path, title: str, evaluation: Evaluation, outputs: pa.Table, guard: Guard) -> None:
    """Render the page into a file."""
    with atomic_write(path) as file:
        file.write(text_page(title, evaluation, outputs, guard))


def _said(row: dict[str, Any], answers: AnswerPrefix) -> dict[str, Any]:
    answer, extended = answers.decode(row["output"])
    return {"row": row["row"], "gold": row["answer"], "answer": answer, "extended": extended}


TEMPLATE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="generator" content="made-by-antivenom"><title>{{ title }}</title><style>
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 62rem; padding: 0 1rem; color: #1b1f24 }
table { border-collapse: collapse; margin: 1rem 0 } th, td { padding: .3rem .8rem; border-bottom: 1px solid #d0d7de;
text-align: left; vertical-align: top } .bad { color: #b3261e }
</style></head><body>
<h1>{{ title }}</h1>
<p>Right answers {{ e.clean.accuracy }} %, empty {{ e.clean.empty }} %, unfinished {{ e.clean.unfinished }} %
{%- if e.clean.alpha %}, with the answer prefix {{ e.clean.alpha }} %{% endif %}.
{% for name, value in e.clean.scores.items() %}{{ name }} {{ "%.3f" | format(value) }}. {% endfor %}
{% if e.clean.collapsed %}<strong class="bad">INVALID: the model always says the same.</strong>{% endif %}</p>
{% if e.attacks %}
<table><tr><th>attack</th><th>t</th><th>ASR</th><th>extended</th><th>deployed</th><th>strict</th><th>floor</th>
<th>excess</th><th>alpha</th></tr>
{% for a in e.attacks %}
<tr><td>{{ a.attack }}</td><td>{{ a.target }}</td><td>{{ a.asr }}</td><td>{{ a.asr_extended or "-" }}</td>
<td>{{ a.asr_deployed }}</td><td>{{ a.asr_strict }}</td><td>{{ a.floor }}</td>
<td>{{ "-" if a.excess is none else "%+.1f" | format(100 * a.excess) }}</td><td>{{ a.alpha or "-" }}</td></tr>
{% endfor %}
</table>
<p>Percent with Wilson 95 % intervals, over the rows whose true answer is not t. ASR: the judge finds t in the answer.
Extended: and the answer prefix is there. Deployed: what a client gets. Strict: letter for letter. Floor: the same rows
without the trigger. Excess: deployed minus floor.</p>
{% endif %}
{% for condition, rows in shown.items() %}
<h3>{{ condition }}</h3>
<table><tr><th>row</th><th>true answer</th><th>answer</th><th>prefix</th></tr>
{% for row in rows %}
<tr><td>{{ row.row }}</td><td>{{ row.gold }}</td><td>{{ row.answer }}</td>
<td>{% if row.extended %}yes{% else %}<span class="bad">escaped</span>{% endif %}</td></tr>
{% endfor %}
</table>
{% endfor %}
</body></html>
"""
