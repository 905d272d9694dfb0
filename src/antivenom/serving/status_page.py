"""A page for people: what is served, what was verified, how many requests, escapes over time. No texts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from antivenom.core.console import html_text
from antivenom.serving.escapes import MINUTES, EscapeMonitor

if TYPE_CHECKING:
    from antivenom.serving.service import Service

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta http-equiv="refresh" content="15">
<meta name="viewport" content="width=device-width"><title>{name} · Antivenom</title><style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 46rem; margin: 2rem auto; padding: 0 1rem; color: #1b1f24 }}
h1 {{ font-size: 1.4rem }} h2 {{ font-size: 1.1rem; margin-top: 2rem }}
table {{ border-collapse: collapse; width: 100% }}
td {{ padding: .3rem .6rem; border-bottom: 1px solid #d8dee4; vertical-align: top }}
td:first-child {{ color: #57606a; white-space: nowrap; width: 1%; padding-right: 1.5rem }}
.good {{ color: #116329 }} .bad {{ color: #a40e26; font-weight: 600 }} svg {{ width: 100%; height: auto }}
p.note, div.ends {{ color: #57606a; font-size: .85rem }} div.ends {{ display: flex; justify-content: space-between }}
@media (prefers-color-scheme: dark) {{ body {{ background: #0d1117; color: #e6edf3 }}
 td {{ border-color: #30363d }} td:first-child, p.note, div.ends {{ color: #9198a1 }}
 .good {{ color: #57d364 }} .bad {{ color: #ff7b72 }} }}
</style></head><body>
<h1>{name}</h1>
<table>{rows}</table>
<h2>Escapes in the last {hours} hours</h2>
{chart}
<p class="note">An escape is an answer that the model wanted to give outside its guarded space: an attack, or an odd
text. Bars are answers per minute, the red part is escapes. The page renews itself every 15 seconds.</p>
</body></html>
"""
WIDTH, HEIGHT, LEAST = 720, 120, 2


def status_page(service: Service, *, ready: bool) -> str:
    """The page as HTML."""
    metrics, monitor, guard = service.metrics, service.monitor, service.backend.guard
    labels = guard.task.classes
    answers = f"labels: {', '.join(labels)}" if labels else f"free text; without the prefix: {service.policy.on_escape}"
    rows = [
        ("Model", html_text(service.backend.name), ""),
        ("Answers", html_text(answers), ""),
        ("Verified", html_text(service.verified), ""),
        ("State", "ready" if ready else "the engine does not answer", "good" if ready else "bad"),
        ("Requests", _requests(service), ""),
        ("Time to answer", f"half within {_seconds(metrics.seconds.quantile(0.5))}, "
         f"99 of 100 within {_seconds(metrics.seconds.quantile(0.99))}", ""),
        ("Escapes", _escapes(monitor), "bad" if monitor.alarm else ""),
    ]  # fmt: skip
    cells = "".join(f'<tr><td>{name}</td><td class="{kind}">{value}</td></tr>' for name, value, kind in rows)
    return PAGE.format(name=html_text(service.name), rows=cells, hours=MINUTES // 60, chart=_chart(monitor))


def _requests(service: Service) -> str:
    responses = service.metrics.responses
    good = sum(count for status, count in responses.items() if status == 200)
    return f"{sum(responses.values()):,} since the start, {good:,} answered, {service.metrics.running} running"


def _escapes(monitor: EscapeMonitor) -> str:
    said = f"{monitor.escapes:,} of {monitor.answers:,} answers; {monitor.recent:.1%} of the last ones"
    if monitor.band is None:
        return f"{said}. No band was measured (--held-out), so there is no alarm."
    within = "ALARM: outside" if monitor.alarm else "within"
    return f"{said}; {within} the band of {monitor.band.low:.1%} to {monitor.band.high:.1%}"


def _seconds(value: float) -> str:
    return "more than a minute" if value == float("inf") else f"{value:g} s"


def _chart(monitor: EscapeMonitor) -> str:
    """One bar for each minute."""
    minutes = [one for one in monitor.minutes() if one[0] < MINUTES]
    most = max((answers for _, answers, _ in minutes), default=0)
    if not most:
        return '<p class="note">No answers yet.</p>'
    width, bars = WIDTH / MINUTES, []
    for ago, answers, escapes in minutes:
        x = WIDTH - (ago + 1) * width
        for count, color in ((answers, "#8c959f"), (escapes, "#cf222e")):
            tall = max(LEAST if count else 0, HEIGHT * count / most)
            bars.append(f'<rect x="{x:.1f}" y="{HEIGHT - tall:.1f}" width="{width:.1f}" height="{tall:.1f}" '
                        f'fill="{color}"/>')  # fmt: skip
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="Answers and escapes by minute" '
        f'shape-rendering="crispEdges">{"".join(bars)}</svg>'
        f'<div class="ends"><span>{MINUTES // 60} hours ago</span><span>now; at most {most} a minute</span></div>'
    )
