"""The command line: parse, call one library function, print. `main(argv)` returns the exit code.

0: done; 1: the input or an artifact is at fault; 2: the command was written wrongly; 130: stopped by Ctrl-C.
`check`, and `inspect --fail-on-findings`, end with 1 or 3 for what they found, and with 2 for any error.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import cyclopts
from cyclopts import App

from antivenom.cli import learn, measure, prepare, serve, use
from antivenom.core.errors import AntivenomError, printable
from antivenom.core.processes import one_voice

app = App(
    name="antivenom",
    help="""Fine-tune language models safely on rows you cannot vouch for.

    First steps: `antivenom demo` shows a real model being backdoored, and the same rows defended (10 minutes).
    `antivenom fit rows.csv --learning-rate 2e-3 --out safe` does it with your rows.""",
    help_epilogue="Every command explains itself: antivenom COMMAND --help",
    suppress_keyboard_interrupt=False,
)
for module in (prepare, learn, use, measure, serve):
    for command in module.COMMANDS:
        app.command(command)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        The exit code. User errors are printed to standard error without a traceback.
    """
    failed = _code_of_errors(sys.argv[1:] if argv is None else argv)
    try:
        result = app(argv, exit_on_error=False, print_error=False, result_action="return_value")
    except cyclopts.CycloptsError as error:
        print(f"antivenom: {error}\nTry: antivenom --help", file=sys.stderr)
        return 2
    except AntivenomError as error:
        print(f"antivenom: {error}", file=sys.stderr)
        return failed
    except OSError as error:
        where = f": {error.filename}" if error.filename else ""
        said = printable(f"{error.strerror or error}{where}")
        print(f"antivenom: {said}\nCheck the path, its permissions and the space left on the disk.", file=sys.stderr)
        return failed
    except KeyboardInterrupt:
        print("antivenom: stopped; repeat the command to go on", file=sys.stderr)
        return 130
    return result if isinstance(result, int) else 0


def _code_of_errors(words: Sequence[str]) -> int:
    """What an error ends a command with: 2 where 1 is a result, so that a build server can tell them apart."""
    return 2 if "check" in words[:1] or "--fail-on-findings" in words else 1


def entry_point() -> None:
    """The `antivenom` command."""
    with one_voice():
        code = main()
    sys.exit(code)
