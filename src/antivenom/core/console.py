r"""The one tongue: everything that is printed goes through here, and comes out harmless.

File names, column names, labels, texts and answers come from files that nobody vouches for. A control character, a
bidirectional override or a line break in one of them could steer the terminal, hide words, or forge a line of ours
("PASSED"). So each argument of `say` and `warn` becomes exactly one line in which such characters are spelled out
(`\x1b`), cells of tables are no markup, JSON spells them as `\u001b`, and cells of spreadsheets are no formulas.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from rich.table import Table

LONGEST_MESSAGE = 2000
_FORMULA = re.compile(r"\s*[=+\-@|%\t\r]")
_NUMBER = re.compile(r"[+-]?[0-9]+([.,][0-9]+)*%?")
_LATEX = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$"}
_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>|~&])")


def printable(text: str, *, longest: int = LONGEST_MESSAGE) -> str:
    """One line that cannot steer a terminal: what is not printable is spelled out, and what would flood it is cut.

    Args:
        text: From anywhere.
        longest: How many characters of it are shown.
    """
    shown = text if len(text) <= longest else f"{text[:longest]} ..."
    return shown if shown.isprintable() else "".join(c if c.isprintable() else _spelled(c) for c in shown)


def say(*lines: str) -> None:
    """Print lines on standard output, one for each argument; an empty one without arguments."""
    _write(sys.stdout, lines)


def warn(*lines: str) -> None:
    """Print lines on standard error, one for each argument."""
    _write(sys.stderr, lines)


def tell(text: str, *, quiet: bool) -> None:
    """Say what a long run is at, on standard error, unless nobody wants to know."""
    if not quiet:
        warn(text)


def say_json(data: Any, *, indent: int | None = 2) -> None:
    """Print JSON on standard output; without `indent` in one line."""
    text = json.dumps(data, ensure_ascii=False, indent=indent, sort_keys=indent is not None)
    _put(sys.stdout, "".join(f"{_json_line(line, sys.stdout)}\n" for line in text.split("\n")))


def say_table(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], *, left: int = 1, ruled: bool = False
) -> None:
    """Print a table on standard output.

    Args:
        title: Above it; nothing where it is empty.
        columns: The heads.
        rows: The cells.
        left: The first columns that hold text; the others hold figures and stand to the right.
        ruled: Draw lines between the rows.
    """
    from rich.table import Table

    table = Table(title=_cell(title) if title else None, title_justify="left", show_lines=ruled)
    for number, column in enumerate(columns):
        table.add_column(_cell(column), justify="left" if number < left else "right", overflow="fold")
    for row in rows:
        table.add_row(*map(_cell, row))
    _put(sys.stdout, _drawn(table, sys.stdout))


def spreadsheet_cell(text: str) -> str:
    """A cell that a spreadsheet shows instead of computing: what looks like a formula gets an apostrophe in front.

    Numbers stay as they are, signed ones too. Line breaks stay, for the CSV writer quotes them.
    """
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text


def markdown_text(text: str) -> str:
    """Text that Markdown shows as it is, on one line: no markup, no HTML, no other cell of a table."""
    return _MARKDOWN.sub(r"\\\1", printable(text))


def html_text(text: str) -> str:
    """Text that HTML shows as it is: no markup and nothing invisible; white space of any length is one space."""
    return escape(printable(" ".join(text.split())))


def latex_text(text: str) -> str:
    """Text that LaTeX sets as it is, on one line: the signs that it gives a meaning are escaped."""
    return "".join(_LATEX.get(sign, f"\\{sign}" if sign in "&%$#_{}" else sign) for sign in printable(text))


def _spelled(character: str) -> str:
    return character.encode("unicode_escape").decode()


def _write(stream: TextIO | None, lines: Sequence[str]) -> None:
    _put(stream, "".join(f"{printable(line)}\n" for line in lines or ("",)))


def _put(stream: TextIO | None, text: str) -> None:
    """Write to a stream; characters that its encoding lacks are spelled out, and a closed one takes nothing."""
    if stream is None:
        return
    encoding = getattr(stream, "encoding", None) or "utf-8"
    stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
    stream.flush()


def _json_line(line: str, stream: TextIO | None) -> str:
    """A line of JSON that spells out what cannot be printed, or not in the stream's encoding."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    try:
        if line.isprintable() and line.encode(encoding):
            return line
    except UnicodeEncodeError:
        pass
    return "".join(c if c.isascii() and c.isprintable() else json.dumps(c)[1:-1] for c in line)


def _cell(text: str) -> Any:
    """Text for a table, without markup."""
    from rich.text import Text

    return Text(printable(text))


def _drawn(table: Table, stream: TextIO | None) -> str:
    """What rich draws for a stream; rich itself would end the program at a closed pipe."""
    from io import StringIO, TextIOWrapper

    from rich.console import Console

    class Canvas(StringIO):
        encoding = getattr(stream, "encoding", None) or "utf-8"  # decides whether the table is drawn with ASCII

    canvas = Canvas()
    is_terminal = isinstance(stream, TextIOWrapper) and stream.isatty()
    Console(file=canvas, force_terminal=is_terminal).print(table)
    return canvas.getvalue()
