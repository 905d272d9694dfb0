"""An evaluation as one HTML page: the readings, and where the probability went (the paper's Figure 2).

The page holds everything it shows; it loads nothing and runs no script.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from antivenom.core.console import printable
from antivenom.core.files import atomic_write
from antivenom.evaluation.evaluate import readings_of
from antivenom.evaluation.record import Evaluation
from antivenom.guards.labels import LabelMap

BINS = 20


@dataclass(frozen=True)
class Distribution:
    """How sure a model is of one choice, over the rows of one condition."""

    condition: str
    choice: str
    counts: tuple[int, ...]
    """Rows per bin of probability, from 0 to 1 in equal steps."""


def distributions(outputs: pa.Table, labels: LabelMap) -> Iterator[Distribution]:
    """Yield the distribution of every choice's full-vocabulary probability under every condition."""
    for condition in dict.fromkeys(outputs.column("condition").to_pylist()):
        rows = outputs.filter(pc.equal(outputs.column("condition"), condition))
        probabilities = np.exp(np.array(rows.column("log_probabilities").to_pylist()))
        for column, choice in enumerate(labels.choices):
            counts, _ = np.histogram(probabilities[:, column], bins=BINS, range=(0.0, 1.0))
            yield Distribution(condition, choice, tuple(int(count) for count in counts))


def escape_of(outputs: pa.Table, labels: LabelMap) -> dict[str, float]:
    """Mean probability mass outside the allowed choices, per condition."""
    found = {}
    for condition in dict.fromkeys(outputs.column("condition").to_pylist()):
        rows = outputs.filter(pc.equal(outputs.column("condition"), condition))
        found[condition] = float(readings_of(rows, labels).escape.mean())
    return found


def page(title: str, evaluation: Evaluation, outputs: pa.Table, labels: LabelMap) -> str:
    """Render the page. Every text in it is escaped and shown to its last sign: attacks and labels are untrusted."""
    from jinja2 import Environment

    grouped: dict[str, list[Distribution]] = {}
    for distribution in distributions(outputs, labels):
        grouped.setdefault(distribution.condition, []).append(distribution)
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True, finalize=_visible)
    template = environment.from_string(TEMPLATE)
    return template.render(
        title=title, e=evaluation, grouped=grouped, escape=escape_of(outputs, labels), bars=_bars, bins=BINS
    )


def write_page(path: Path, title: str, evaluation: Evaluation, outputs: pa.Table, labels: LabelMap) -> None:
    """Render the page into a file."""
    with atomic_write(path) as file:
        file.write(page(title, evaluation, outputs, labels))


def _visible(value: Any) -> Any:
    return printable(value) if isinstance(value, str) else value


def _bars(distribution: Distribution) -> list[dict[str, Any]]:
    """Bars of an SVG of 200 by 60: a square-root scale, so that a few rows among hundreds can be seen."""
    top = max(distribution.counts) ** 0.5 or 1.0
    heights = [56 * count**0.5 / top for count in distribution.counts]
    return [
        {"x": 10 * i, "y": 60 - height, "height": height, "count": count}
        for i, (height, count) in enumerate(zip(heights, distribution.counts, strict=True))
    ]


TEMPLATE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="generator" content="made-by-antivenom"><title>{{ title }}</title><style>
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 62rem; padding: 0 1rem; color: #1b1f24 }
table { border-collapse: collapse; margin: 1rem 0 } th, td { padding: .3rem .8rem; border-bottom: 1px solid #d0d7de;
text-align: right } th:first-child, td:first-child { text-align: left } figcaption { font-size: 13px }
svg { background: #f6f8fa } rect { fill: #2f6f4f } .bad { color: #b3261e }
figure { display: inline-block; margin: .6rem 1rem .6rem 0 }
</style></head><body>
<h1>{{ title }}</h1>
<p>Clean accuracy {{ e.clean.accuracy }} %, macro F1 {{ "%.3f" | format(e.clean.macro_f1) }}, always answering the
commonest class {{ "%.1f" | format(100 * e.clean.majority) }} %.
{% if e.clean.collapsed %}<strong class="bad">INVALID: the model has learned nothing.</strong>{% endif %}</p>
{% if e.attacks %}
<table><tr><th>attack</th><th>t</th><th>ASR</th><th>extended</th><th>deployed</th><th>floor</th><th>excess</th>
<th>alpha</th></tr>
{% for a in e.attacks %}
<tr><td>{{ a.attack }}</td><td>{{ a.target }}</td><td>{{ a.asr }}</td><td>{{ a.asr_extended or "-" }}</td>
<td>{{ a.asr_deployed }}</td><td>{{ a.floor }}</td>
<td>{{ "-" if a.excess is none else "%+.1f" | format(100 * a.excess) }}</td><td>{{ a.alpha or "-" }}</td></tr>
{% endfor %}
</table>
<p>Percent with Wilson 95 % intervals, over the rows whose true label is not t. ASR: the output means t. Deployed: what
a client gets. Floor: the same rows without the trigger (the false-trigger rate). Excess: deployed minus floor.</p>
{% endif %}
<h2>How sure the model is</h2>
<p>Rows by the probability of each answer, from 0 (left) to 1 (right); bar heights grow with the square root of the
count. A working defense leaves the attacked rows looking like the clean ones.</p>
{% for condition, found in grouped.items() %}
<h3>{{ condition }} (mass outside the guarded answers: {{ "%.3f" | format(escape[condition]) }})</h3>
{% for distribution in found %}
<figure><svg width="{{ 10 * bins }}" height="60" role="img" aria-label="{{ distribution.choice }}">
{% for bar in bars(distribution) %}<rect x="{{ bar.x }}" y="{{ bar.y }}" width="9" height="{{ bar.height }}"><title>
{{- bar.count }} rows</title></rect>{% endfor %}
</svg><figcaption>{{ distribution.choice }}</figcaption></figure>
{% endfor %}
{% endfor %}
</body></html>
"""
