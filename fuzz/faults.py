"""Every command where something is wrong with the machine: a result or a clear error, and nothing else is touched.

    python -m fuzz.faults                           # every command under every condition
    python -m fuzz.faults --commands fit --conditions "full disk"

After each run it is checked that the exit code is that of a result or of an error, that an error is told in a few lines
without a traceback, that no file changed but those that the command may make, that the home holds nothing new outside
its cache, that the temporary folder is empty, and that whatever holds the secret can be read by its owner alone.
`serve` is asked once, and then ended by SIGTERM.
Needs root, to mount disks.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import json
import os
import resource
import signal
import stat
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from fuzz import forked
from fuzz.workshop import COMMANDS, WORDS, Command, Workshop, workshop

NOBODY = 54321
"""A user that this machine has no name for."""
MOST_LINES = 12
CLEAR = (0, 1, 2, 3, 141)
PATIENCE = 60
"""Seconds after which a server hangs that does not answer, or does not end when it is told to."""


@dataclass(frozen=True)
class Condition:
    """What is wrong."""

    encoding: str = "utf-8"
    prepare: Callable[[], None] = lambda: None
    """Called in the process of the command."""
    disk: str = ""
    """How the disk of the working folder is mounted: options of tmpfs, `ro` for one that is read-only."""
    silent: bool = False
    """Whether nothing can be said."""


def _close_streams() -> None:
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        stream.close()
    os.closerange(0, 3)
    sys.stdin = sys.stdout = sys.stderr = None  # type: ignore[assignment]


def _homeless() -> None:
    for name in ("HOME", "XDG_CACHE_HOME", "USER", "LOGNAME"):
        os.environ.pop(name, None)


def _nameless() -> None:
    """Become a user without a name, whose are the working folder and the temporary one; what root has can be read."""
    _homeless()
    for folder in (Path.cwd(), Path(os.environ["TMPDIR"])):
        for path in (folder, *folder.rglob("*")):
            os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
    system, keep_capabilities, third_version, read_and_search = ctypes.CDLL(None), 8, 0x20080522, 1 << 2
    system.prctl(keep_capabilities, 1, 0, 0, 0)
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)
    who, may = (ctypes.c_uint32 * 2)(third_version, 0), (ctypes.c_uint32 * 6)(read_and_search, read_and_search)
    if system.capset(who, may):
        raise OSError("the system did not let a user be nameless")


def _few_handles() -> None:
    inherited = [name for name in Path("/proc/self/fd").iterdir() if int(name.name) > 2]  # one is the list's own
    most = 16 + len(inherited) - 1
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _small_files() -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))


CONDITIONS = {
    "umask 022": Condition(prepare=lambda: os.umask(0o022) and None),
    "umask 077": Condition(prepare=lambda: os.umask(0o077) and None),
    "ascii": Condition(encoding="ascii"),
    "latin-1": Condition(encoding="latin-1"),
    "closed streams": Condition(prepare=_close_streams, silent=True),
    "no home": Condition(prepare=_homeless),
    "nameless user": Condition(prepare=_nameless),
    "read-only disk": Condition(disk="ro"),
    "full disk": Condition(disk="full"),
    "small files": Condition(prepare=_small_files),
    "16 handles": Condition(prepare=_few_handles),
}


@contextlib.contextmanager
def mounted(shop: Workshop, condition: Condition) -> Iterator[Path]:
    """A copy of the workshop, on a disk of its own where the condition wants one."""
    place = shop.root / "place"
    if not condition.disk:
        yield shop.fresh(place)
        return
    place.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", place], check=True)
    try:
        shop.fill(place)
        used = sum(path.stat().st_blocks * 512 for path in place.rglob("*"))
        options = "ro" if condition.disk == "ro" else f"size={used // 1024 + 24}k"
        subprocess.run(["mount", "-o", f"remount,{options}", place], check=True)
        yield place
    finally:
        if not _within_patience(lambda: _unmounted(place)):
            raise OSError(f"{place} stays in use: a process of a command did not end")


def _unmounted(place: Path) -> bool:
    return subprocess.run(["umount", place], stderr=subprocess.DEVNULL, check=False).returncode == 0


def listing(folder: Path) -> dict[str, tuple[object, ...]]:
    """Every path below a folder, with its kind and mode, and its bytes by size and time of change."""
    found = {}
    for path in folder.rglob("*"):
        status = path.lstat()
        content = (status.st_size, status.st_mtime_ns) if stat.S_ISREG(status.st_mode) else ()
        found[str(path.relative_to(folder))] = (status.st_mode, *content)
    return found


def changed(before: dict[str, tuple[object, ...]], after: dict[str, tuple[object, ...]]) -> list[str]:
    return sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))


def problems(
    shop: Workshop,
    command: Command,
    place: Path,
    ended: forked.Ended,
    *,
    others: list[str],
    home: list[str],
    silent: bool,
) -> Iterator[str]:
    """What is wrong after a run."""
    if ended.code not in (*CLEAR, *command.ends) or not (ended.code in command.ends or ended.err or silent):
        yield f"exit code {ended.code}: {ended.err[-1500:]}"
    if "Traceback" in ended.err or "Traceback" in ended.out:
        yield f"a traceback: {ended.err[-1500:]}"
    told = ended.err.splitlines()
    first = next((number for number, line in enumerate(told) if line.startswith("antivenom:")), len(told))
    if ended.code not in command.ends and len(told) - first > MOST_LINES:
        yield f"an error of {len(told) - first} lines"
    if WORDS in ended.err or WORDS in ended.out:
        yield "the secret was printed"
    for name in others:
        if not name.startswith(command.makes or ("\0",)):
            yield f"{name} was changed"
    for name in home:
        if not name.startswith(".cache"):
            yield f"{name} in the home was changed"
    for left in (shop.said / "tmp").iterdir():
        yield f"{left.name} is left in the temporary folder"
    for path in place.rglob("*"):
        if path.is_file() and path.stat().st_mode & 0o077 and WORDS.encode() in path.read_bytes():
            yield f"{path.name} with the secret can be read by others"


def _served(child: forked.Child, port: int) -> forked.Ended:
    """Ask a server for an answer, end it by SIGTERM, and return how it ended; one that hangs is killed."""
    answers = _within_patience(lambda: child.poll() or _answers(port)) and not child.poll()
    child.send(signal.SIGTERM if answers else signal.SIGKILL)
    if not _within_patience(child.poll):
        child.send(signal.SIGKILL)
    return child.wait()


def _within_patience(is_so: Callable[[], bool]) -> bool:
    """Whether something comes true in time."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        if is_so():
            return True
        time.sleep(0.05)
    return False


def _answers(port: int) -> bool:
    asked = {"model": "safe", "messages": [{"role": "user", "content": "a warm film"}]}
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/v1/chat/completions",
        data=json.dumps(asked).encode(),
        headers={"Content-Type": "application/json"},
    )
    with contextlib.suppress(OSError), urllib.request.urlopen(request, timeout=PATIENCE) as response:
        return json.load(response)["choices"][0]["message"]["content"] in ("negative", "positive")
    return False


def try_one(shop: Workshop, name: str, condition: Condition) -> tuple[int, list[str]]:
    """Run a command under a condition; returns its exit code and what is wrong."""
    command = COMMANDS[name]
    with mounted(shop, condition) as place:
        before, home = listing(place), listing(shop.home)
        child = shop.start(command, place, encoding=condition.encoding, prepare=condition.prepare)
        ended = _served(child, command.port) if command.port else child.wait()
        others, at_home = changed(before, listing(place)), changed(home, listing(shop.home))
        wrong = list(problems(shop, command, place, ended, others=others, home=at_home, silent=condition.silent))
    shop.clear_temporary()
    return ended.code, wrong


def main(argv: Sequence[str] | None = None) -> int:
    """Return 0 where nothing failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--commands", nargs="+", metavar="NAME", default=list(COMMANDS), choices=COMMANDS)
    parser.add_argument("--conditions", nargs="+", metavar="NAME", default=list(CONDITIONS), choices=CONDITIONS)
    parser.add_argument("--workshop", metavar="FOLDER", help="make it here, and use it again")
    given = parser.parse_args(argv)
    failures = 0
    with workshop(given.workshop) as shop:
        for said in given.conditions:
            results = Counter[str]()
            for name in given.commands:
                code, wrong = try_one(shop, name, CONDITIONS[said])
                results["results" if code in COMMANDS[name].ends else "clear errors"] += not wrong
                for what in wrong:
                    failures += 1
                    print(f"FAILED {name}, {said}: {what}", flush=True)
            print(f"{said}: {dict(results)} of {len(given.commands)} commands", flush=True)
    print(f"{failures} failures")
    return int(bool(failures))


if __name__ == "__main__":
    sys.exit(main())
