"""The program as a process: streams that are closed or narrow, signals, a missing home, and how soon it is there."""

from __future__ import annotations

import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ANTIVENOM = [sys.executable, "-m", "antivenom"]


def shell(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a line of bash in which `antivenom` is the program."""
    full = f"set -o pipefail; antivenom() {{ '{sys.executable}' -m antivenom \"$@\"; }}; {command}"
    return subprocess.run(["bash", "-c", full], cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    lines = ["text,label", *(f"a {word} film é {i},{word}" for i in range(20) for word in ("good", "bad"))]
    (tmp_path / "rows.csv").write_text("\n".join(lines), encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("antivenom --version >&-", 0),
        ("antivenom methods >&- 2>&- <&-", 0),
        ("PYTHONIOENCODING=ascii antivenom validate rows.csv", 0),
        ("PYTHONIOENCODING=latin-1 antivenom methods", 0),
        ("antivenom methods > /dev/full", 1),
        ("antivenom methods | true", 141),
        ("antivenom show rows.csv", 1),
    ],
)
def test_odd_streams_give_a_result_or_a_clear_error(rows, command, code):
    done = shell(command, rows)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) <= 4


def test_a_nameless_user_without_a_home_is_told_where_to_put_the_cache():
    code = (
        "import os\n"
        "from antivenom.core.errors import AntivenomError\n"
        "from antivenom.core.files import user_cache\n"
        "os.getuid = lambda: 987654\n"
        "for name in ('HOME', 'XDG_CACHE_HOME', 'ANTIVENOM_CACHE'): os.environ.pop(name, None)\n"
        "try: user_cache()\n"
        "except AntivenomError as error: print(error.mend)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "ANTIVENOM_CACHE" in done.stdout


@pytest.mark.parametrize("swallowed", [False, True])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_command_with_one_line(number, code, swallowed):
    """Also where a library makes an error of its own of it, as pydantic does while it builds a class."""
    waiting = (
        "import antivenom.cli as cli, time\n"
        "def run(words):\n"
        "    print('ready', flush=True)\n"
        "    try: exec('time.sleep(60)')\n"
        f"    except KeyboardInterrupt as error: raise ValueError('a class') if {swallowed} else error\n"
        "cli._run = run\n"
        "cli.entry_point()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", waiting], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        _, said = process.communicate(timeout=30)
    assert process.returncode == code
    assert said == "antivenom: stopped; repeat the command to go on\n"


@pytest.mark.parametrize("step", ["hold_streams", "stop_on_signals", "end_undisturbed"])
def test_an_interrupt_around_the_command_is_one_line(step):
    code = (
        "import antivenom.cli as cli\n"
        f"done = cli.{step}\n"
        "def interrupted():\n"
        f"    cli.{step} = done\n"
        "    raise KeyboardInterrupt\n"
        f"cli.{step}, cli.main = interrupted, lambda **_: 0\n"
        "cli.entry_point()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 130
    assert done.stderr == "antivenom: stopped; repeat the command to go on\n"


def test_what_libraries_log_and_warn_of_is_harmless():
    said = r"'\x1b[31mred\x1b[0m \x1b[2J\u202e\x9b1m end'"
    code = (
        "import logging, warnings\n"
        "from antivenom.cli.process import speak_harmlessly\n"
        "speak_harmlessly()\n"
        f"logging.getLogger('a').warning('%s', {said})\n"
        f"warnings.warn({said})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert len(done.stderr.splitlines()) == 2
    assert all(line.isprintable() and line.endswith("end") for line in done.stderr.splitlines())
    assert done.stderr.startswith("red ")


def test_a_bug_is_one_line_and_its_traceback_is_asked_for(monkeypatch, capsys):
    from antivenom import cli

    def break_down(words: list[str]) -> int:
        raise ZeroDivisionError(f"of {words}")

    monkeypatch.setattr(cli, "_run", break_down)
    assert cli.main(["show"]) == 70
    quiet = capsys.readouterr().err
    assert "Traceback" not in quiet
    assert len(quiet.splitlines()) == 2
    assert cli.main(["-v", "show"]) == 70
    assert "break_down" in capsys.readouterr().err


def test_the_version_is_there_at_once():
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run([*ANTIVENOM, "--version"], capture_output=True, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.stdout.strip()
    assert after.ru_utime - before.ru_utime < 0.4, f"{time.perf_counter() - start:.1f} s"
