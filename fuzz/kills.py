"""Commands that are killed, stopped, or started twice: whatever happens, the repeated command ends with the same bytes.

    python -m fuzz.kills --kills 200            # kill -9, SIGINT and SIGTERM at random moments, 200 of each
    python -m fuzz.kills --pairs                # each command while another process works on the same output

A moment is drawn from the time that an undisturbed run takes. Every third run that was killed is killed once more when
it is repeated. Compared is every file of the folder that the command ran in, by its bytes (of JSON: all but seconds and
dates), and that its temporary folder is empty. Any difference is an error, and so is a traceback, another exit code or
a second line where one was promised.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from fuzz import forked
from fuzz.workshop import COMMANDS, KILLED, Command, Workshop, differences, outcome, workshop

from antivenom.core.locks import SUFFIX

STOPPED = "antivenom: stopped; repeat the command to go on"
SIGNALS = {"SIGKILL": -9, "SIGINT": 130, "SIGTERM": 143}
"""How a command ends that got the signal in time."""
TOGETHER = ("bench run", "bench report")
"""Several processes share the cells of a suite, and write the same report."""
WRITERS = tuple(name for name, command in COMMANDS.items() if command.makes and name not in TOGETHER)
TRIES = 20


class Failures(Counter[str]):
    """What went wrong, by command; each is printed as it happens."""

    def note(self, name: str, what: str) -> None:
        self[name] += 1
        print(f"FAILED {name}: {what}", flush=True)


def interrupt(shop: Workshop, name: str, signals: Sequence[str], times: int, rng: random.Random) -> Failures:
    """Send signals to a command at random moments, and repeat it until it ends by itself."""
    command, failures = COMMANDS[name], Failures()
    whole = shop.run(command, place := shop.fresh())
    if whole.code not in command.ends:
        raise SystemExit(f"{name}: {whole.err}")
    expected, hit, took = outcome(place), Counter[str](), whole.seconds
    for _ in range(times):
        for sent in signals:
            shop.fresh(place)
            again = True
            while again:
                child = shop.start(command, place)
                time.sleep(rng.uniform(0.0, took))
                sent_in_time, ended = child.send(number := getattr(signal, sent)), child.wait()
                if sent_in_time and sent != "SIGKILL" and ended.code == -number and not ended.err:
                    hit["before it listened"] += 1  # in its first milliseconds, where the system ends it
                elif sent_in_time:
                    hit[sent] += 1
                    _look_at_stopped(name, sent, ended, command, failures)
                again = rng.random() < 1 / 3
            ended = shop.run(command, place)
            if not (ended.code in command.ends or "already" in ended.err):
                failures.note(name, f"after {sent} it ends with {ended.code}: {ended.err}")
            elif found := differences(outcome(place), expected):
                failures.note(name, f"after {sent} other bytes: {', '.join(found)}")
            if left := list((shop.said / "tmp").iterdir()):
                failures.note(name, f"after {sent} temporary files are left: {left[0].name}")
                shop.clear_temporary()
    print(f"{name}: {dict(hit)} in {took:.1f} s; {failures.total()} failures", flush=True)
    return failures


def _look_at_stopped(name: str, sent: str, ended: forked.Ended, command: Command, failures: Failures) -> None:
    if ended.code not in (SIGNALS[sent], *command.ends) and "already" not in ended.err:
        failures.note(name, f"{sent} ended it with {ended.code}: {ended.err}")
    if "Traceback" in ended.err or (ended.code > 128 and ended.err.splitlines()[-1:] != [STOPPED]):
        failures.note(name, f"{sent}: {ended.err}")


def meet(shop: Workshop, name: str) -> Failures:
    """Start a command while another one, held in the middle of its work, has the lock."""
    command, failures = COMMANDS[name], Failures()
    shop.run(command, place := shop.fresh())
    expected = outcome(place)
    for _ in range(TRIES):
        shop.fresh(place)
        first = shop.start(command, place)
        if _hold(first, place):
            break
        first.wait()
    else:
        failures.note(name, "it was never seen with a lock")
        return failures
    second = shop.start(command, place, "said2").wait()
    first.send(signal.SIGCONT)
    done = first.wait()
    said = f"in use by `antivenom {command.words[0]}` (process {first.pid} on"
    if second.code not in (1, 2) or "in use by" not in second.err or f"process {first.pid} on" not in second.err:
        failures.note(name, f"the second did not say {said!r} but ended with {second.code}: {second.err}")
    if done.code not in command.ends:
        failures.note(name, f"the first ended with {done.code}: {done.err}")
    if found := differences(outcome(place), expected):
        failures.note(name, f"two at once made other bytes: {', '.join(found)}")
    told = [line for line in second.err.splitlines() if "in use by" in line]
    print(f"{name}: {failures.total()} failures; the second says: {told}", flush=True)
    return failures


def _hold(child: forked.Child, place: Path) -> bool:
    """Stop a command as soon as it has a lock; false where it ended before."""
    while not child.poll():
        if _locks(place):
            child.send(signal.SIGSTOP)
            return bool(_locks(place))
        time.sleep(0.001)
    return False


def _locks(place: Path) -> list[str]:
    """The signed locks in a folder in which files come and go."""
    found = [Path(folder, name) for folder, _, names in os.walk(place) for name in names]
    with contextlib.suppress(FileNotFoundError):
        return [str(path) for path in found if path.name.endswith(SUFFIX) and path.stat().st_size]
    return []


def main(argv: Sequence[str] | None = None) -> int:
    """Return 0 where nothing failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=0, help="how often each signal is sent, spread over the commands")
    parser.add_argument("--signals", nargs="+", default=list(SIGNALS), choices=SIGNALS)
    parser.add_argument("--pairs", action="store_true", help="two of each command at once")
    parser.add_argument("--commands", nargs="+", metavar="NAME", help="only these")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workshop", metavar="FOLDER", help="make it here, and use it again")
    given = parser.parse_args(argv)
    failures = Failures()
    with workshop(given.workshop) as shop:
        names = given.commands or list(KILLED)
        for number, name in enumerate(names if given.kills else []):
            times = given.kills // len(names) + (number < given.kills % len(names))
            failures.update(interrupt(shop, name, given.signals, times, random.Random(f"{given.seed}:{name}")))
        for name in (given.commands or WRITERS) if given.pairs else []:
            failures.update(meet(shop, name))
    print(f"{failures.total()} failures")
    return int(bool(failures))


if __name__ == "__main__":
    sys.exit(main())
