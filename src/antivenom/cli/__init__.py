"""The command line: parse, call one library function, print. `main(argv)` returns the exit code.

| code | meaning |
|---|---|
| 0 | done; a check passed |
| 1 | the input, an artifact or a file is at fault; of `check` and `inspect --fail-on-findings`: something was found |
| 2 | the command was written wrongly; of these two: any error |
| 3 | of `check`: inconclusive |
| 70 | an error that nobody foresaw: a bug of ours, or of a library under it |
| 130, 143 | stopped by Ctrl-C (SIGINT) or SIGTERM; the same command goes on |
| 141 | whoever read the output stopped reading (`| head`) |

A module is imported when its command is called.
"""

from __future__ import annotations

import ast
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from antivenom.cli.failures import WRITTEN_WRONGLY, explain
from antivenom.cli.process import end_undisturbed, finish_output, hold_streams, speak_harmlessly, stop_on_signals
from antivenom.core.console import say, warn
from antivenom.core.processes import one_voice

if TYPE_CHECKING:
    from cyclopts import App

COMMANDS = {
    "validate": "antivenom.cli.prepare",
    "inspect": "antivenom.cli.prepare",
    "immunize": "antivenom.cli.prepare",
    "poison": "antivenom.cli.prepare",
    "methods": "antivenom.cli.listing",
    "tasks": "antivenom.cli.listing",
    "fit": "antivenom.cli.learn",
    "finish": "antivenom.cli.learn",
    "predict": "antivenom.cli.use",
    "evaluate": "antivenom.cli.use",
    "recount": "antivenom.cli.recounting",
    "show": "antivenom.cli.use",
    "sign": "antivenom.cli.signing",
    "verify": "antivenom.cli.signing",
    "check": "antivenom.cli.measure",
    "compare": "antivenom.cli.measure",
    "serve": "antivenom.cli.serve",
    "export": "antivenom.cli.serve",
    "demo": "antivenom.cli.measure",
    "bench": "antivenom.cli.bench",
}
"""Each command and the module that holds the function (or the app) of that name."""

HELP = """Fine-tune language models safely on rows you cannot vouch for.

First steps: `antivenom demo` shows a real model being backdoored, and the same rows defended (8 minutes).
`antivenom demo --rows-only --out sample` writes its rows; `antivenom fit sample/reviews.csv --out safe` takes them."""
EPILOGUE = (
    "Every command explains itself: antivenom COMMAND --help. `antivenom -v COMMAND ...` tells more where something "
    "fails; `antivenom --install-completion` makes the shell complete commands and options."
)


def make_app(*, summaries: bool = False) -> App:
    """The parser of all commands; none of their modules is imported before it is needed.

    Args:
        summaries: For the list of all commands, one line stands for the help of each.
    """
    from cyclopts import App

    app = App(name="antivenom", help=HELP, help_epilogue=EPILOGUE, suppress_keyboard_interrupt=False)
    for name, module in COMMANDS.items():
        app.command(f"{module}:{name}", name=name, **({"help": summary(module, name)} if summaries else {}))
    app.register_install_completion_command()
    return app


def summary(module: str, name: str) -> str:
    """The first line of a command's docstring, or the help of an app, read without importing its module."""
    place = Path(__file__).with_name(f"{module.rpartition('.')[2]}.py")
    for node in ast.parse(place.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef) and node.name == name:
            return (ast.get_docstring(node) or "").partition("\n")[0]
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call) and ast.unparse(node.targets[0]) == name:
            return "".join(ast.literal_eval(word.value) for word in node.value.keywords if word.arg == "help")
    return ""


def main(argv: Sequence[str] | None = None, *, interrupts: Sequence[KeyboardInterrupt] = ()) -> int:
    """Run one command.

    Args:
        argv: The words behind `antivenom`; those of this process when there are none.
        interrupts: See `process.stop_on_signals`.

    Returns:
        The exit code. What went wrong is said on standard error, without a traceback unless `-v` comes first or
        ANTIVENOM_TRACEBACK is set.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    verbose = bool(os.environ.get("ANTIVENOM_TRACEBACK"))
    if words[:1] in (["-v"], ["--verbose"]):
        verbose, words = True, words[1:]
    try:
        return _run(words)
    except (SystemExit, GeneratorExit):
        raise
    except BaseException as error:  # some libraries raise panics that are no `Exception`
        code = _told(interrupts[0] if interrupts else error, verbose=verbose)
        return _code_of_errors(words) if code == 1 else code


def _told(error: BaseException, *, verbose: bool) -> int:
    """Say what went wrong; returns the exit code."""
    failure = explain(error)
    if verbose and failure.code != WRITTEN_WRONGLY:  # which would repeat words of the command, and may be a secret
        from traceback import format_exception

        warn(*"".join(format_exception(error)).splitlines())
    if failure.lines:
        warn(*failure.lines)
    return failure.code


def _code_of_errors(words: Sequence[str]) -> int:
    """What an error ends a command with: 2 where 1 is a result, so that a build server can tell them apart."""
    return 2 if "check" in words[:1] or "--fail-on-findings" in words else 1


def _run(words: list[str]) -> int:
    if words == ["--version"]:
        from importlib.metadata import version

        say(version("antivenom"))
        return 0
    from antivenom.cli.help import formatter_for
    from antivenom.cli.moved_options import refuse_moved
    from antivenom.cli.settings import expand

    formatter, words, more = formatter_for(words)
    app = make_app(summaries=words in ([], ["--help"], ["-h"]))
    app.help_formatter = formatter
    if more:
        app.help_epilogue = more
    words = expand(words)
    refuse_moved(words)
    result = app(words, exit_on_error=False, print_error=False, result_action="return_value")
    return result if isinstance(result, int) else 0


def entry_point() -> None:
    """The `antivenom` command: `main` with the streams and signals of a process of its own."""
    try:
        hold_streams()
        interrupts = stop_on_signals()
        speak_harmlessly()
        with one_voice():
            code = main(interrupts=interrupts)
        end_undisturbed()
    except KeyboardInterrupt as error:  # before the command, or between its end and that of the program
        end_undisturbed()
        code = _told(error, verbose=False)
    sys.exit(finish_output(code))
