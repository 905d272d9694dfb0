"""Tables as Markdown and LaTeX."""

from __future__ import annotations

from antivenom.core.console import latex_text, markdown_text
from antivenom.suites.tables import Table


def markdown(table: Table) -> str:
    """A table as Markdown, its links kept."""
    lines = [
        f"| {' | '.join(map(markdown_text, table.head))} |",
        "|" + "---|" * table.left + "---:|" * (len(table.head) - table.left),
    ]
    for row in table.rows:
        cells = [markdown_text(cell.text) for cell in row]
        linked = [f"[{text}]({cell.link})" if cell.link else text for text, cell in zip(cells, row, strict=True)]
        lines.append(f"| {' | '.join(linked)} |")
    return "\n".join([f"## {markdown_text(table.title)}", "", *lines, *(["", table.note] if table.note else [])])


def latex(table: Table) -> str:
    """A table as LaTeX, for the package booktabs."""
    columns = "l" * table.left + "r" * (len(table.head) - table.left)
    lines = [f"% {latex_text(table.title)}", f"\\begin{{tabular}}{{{columns}}}", "\\toprule"]
    lines += [" & ".join(map(latex_text, table.head)) + r" \\", "\\midrule"]
    lines += [" & ".join(latex_text(cell.text) for cell in row) + r" \\" for row in table.rows]
    return "\n".join([*lines, "\\bottomrule", "\\end{tabular}"])
