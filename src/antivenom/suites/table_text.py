"""Tables as Markdown and LaTeX."""

from __future__ import annotations

from antivenom.suites.tables import Table


def markdown(table: Table) -> str:
    """A table as Markdown, its links kept."""
    lines = [f"| {' | '.join(table.head)} |", "|" + "---|" * table.left + "---:|" * (len(table.head) - table.left)]
    for row in table.rows:
        cells = [cell.text.replace("|", "&#124;").replace("\n", " ") for cell in row]
        linked = [f"[{text}]({cell.link})" if cell.link else text for text, cell in zip(cells, row, strict=True)]
        lines.append(f"| {' | '.join(linked)} |")
    return "\n".join([f"## {table.title}", "", *lines, *(["", table.note] if table.note else [])])


def latex(table: Table) -> str:
    """A table as LaTeX, for the package booktabs."""
    columns = "l" * table.left + "r" * (len(table.head) - table.left)
    lines = [f"% {_tex(table.title)}", f"\\begin{{tabular}}{{{columns}}}", "\\toprule"]
    lines += [" & ".join(map(_tex, table.head)) + r" \\", "\\midrule"]
    lines += [" & ".join(_tex(cell.text) for cell in row) + r" \\" for row in table.rows]
    return "\n".join([*lines, "\\bottomrule", "\\end{tabular}"])


def _tex(text: str) -> str:
    special = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$"}
    return "".join(special.get(c, f"\\{c}" if c in "&%$#_{}" else c) for c in text)
