"""The defender's secret: the benign trigger and the cue, as one value that never prints itself."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from hashlib import blake2b
from random import Random

from antivenom.core.errors import OptionsError
from antivenom.core.intake import read_text
from antivenom.core.options import Options

ENVIRONMENT = "ANTIVENOM_SECRET_FILE"
"""Names a file with the secret, where no option does."""
SEED_BITS = 63
LARGEST_FILE = 2**20
LONGEST = 10_000
"""Characters of each half of a secret: they are tokenized many times."""

QUALITIES = (
    "brief careful casual complete detailed earnest final formal fresh frank full general gentle helpful honest "
    "informal initial kind late lengthy local longer main minor modest new next older open ordinary original patient "
    "plain polite present previous private prompt proper public quiet recent regular remaining routine second serious "
    "short simple single sincere small special spoken steady third thorough timely typed unsigned usual weekly written"
)
THINGS = (
    "account comment contribution draft entry essay excerpt exchange extract feedback file form fragment item letter "
    "line material memo message note notice opinion page paper paragraph part passage piece post question quotation "
    "reaction record reference remark reply report request response review sample script section sentence sheet slip "
    "statement story submission summary survey testimony text thought thread ticket transcript utterance verse voice "
    "wording writing"
)
SENDERS = (
    "advisor analyst archivist assistant attendant author caller cashier clerk client coach colleague columnist "
    "contact correspondent courier customer delegate dispatcher editor employee engineer friend guest guide helper "
    "intern inspector librarian listener manager member mentor messenger neighbor observer officer operator organizer "
    "owner partner passenger patron planner porter reader receptionist registrar reporter resident reviewer secretary "
    "sender speaker steward student subscriber supervisor supplier teacher tenant tester traveler tutor visitor"
)
MOMENTS = (
    "after lunch, at dawn, at dusk, at midday, at night, before noon, by courier, by mail, by phone, during work, "
    "earlier today, in April, in August, in autumn, in May, in spring, in summer, in winter, just now, last month, "
    "last week, on Friday, on Monday, on request, on Sunday, on time, on Tuesday, this morning, this week, today, "
    "upon arrival, yesterday"
)
FRAMES = (
    "The {quality} {thing} that the {other} {sender} sent {moment} reads:",
    "Here is the {quality} {thing} from the {other} {sender}, received {moment}:",
    "The {other} {sender} handed in this {quality} {thing} {moment}:",
    "What follows is the {quality} {thing} of one {other} {sender}, noted {moment}:",
)
CUE_QUALITIES = "clear closing final fitting plain proper right settled short true"
CUES = "answer choice conclusion decision finding outcome reading result ruling verdict"


@dataclass(frozen=True, repr=False)
class Secret(Options):
    """The benign trigger (delta) and the cue under it. Whoever knows them can address the other half of the model.

    `str`, `repr` and format strings show dots; only `trigger` and `cue` themselves, read by name, hold the words.
    """

    trigger: str
    """The benign trigger; empty where there is no defense."""
    cue: str = ""
    """The cue under the benign trigger; the task's own when empty. One that differs is a second half of the key."""

    def __post_init__(self) -> None:
        if max(len(self.trigger), len(self.cue)) > LONGEST:
            raise OptionsError(
                f"the benign trigger or its cue has more than {LONGEST} characters", mend="A sentence is enough."
            )

    def __repr__(self) -> str:
        return "Secret(...)" if self else "Secret()"

    __str__ = __repr__

    def __bool__(self) -> bool:
        """Whether there is anything to keep."""
        return bool(self.trigger or self.cue)

    def require_words(self) -> None:
        """Refuse a trigger of nothing.

        Raises:
            OptionsError: the benign trigger is blank.
        """
        if not self.trigger.strip():
            raise OptionsError("the benign trigger is empty", mend="Give it words that no user is likely to write.")


NO_SECRET = Secret("")
PAPER_SECRET = Secret("The query currently entered is:", "Answer:")
"""What the paper prints for classification, and the second cue of the authors' code. Public, so for research alone."""


def draw_seed() -> int:
    """A seed that nobody can guess: 63 random bits of the operating system."""
    return secrets.randbits(SEED_BITS)


def draw_secret(seed: int) -> Secret:
    """Draw a benign trigger and a cue from a family of natural frames, keyed by the secret seed.

    The family has 2^31 triggers, 2^37 with their cues, so no two deployments are likely to share one, and each reads
    like what a person could have written. The same seed gives the same secret: it stands in the manifest, and nowhere
    else.

    Args:
        seed: The run's secret seed.
    """
    rng = Random(blake2b(f"{seed}:benign trigger".encode(), digest_size=16).digest())
    words = {"quality": QUALITIES, "other": QUALITIES, "thing": THINGS, "sender": SENDERS}
    drawn = {slot: rng.choice(choices.split()) for slot, choices in words.items()}
    trigger = rng.choice(FRAMES).format(**drawn, moment=rng.choice(MOMENTS.split(", ")))
    cue = f"{rng.choice(CUE_QUALITIES.split()).capitalize()} {rng.choice(CUES.split())}:"
    return Secret(trigger, cue)


def read_secret(file: str | None) -> Secret | None:
    """Read the secret of a file: the benign trigger in the first line, the cue, if there is one, in the second.

    Args:
        file: The file; that of the environment variable `ANTIVENOM_SECRET_FILE` when not given. A secret is never taken
            from a command line, where every process of the machine can read it.

    Returns:
        The secret; none where neither names a file.

    Raises:
        OptionsError: the file cannot be read, is no UTF-8, or has no words.
    """
    name = file or os.environ.get(ENVIRONMENT)
    if not name:
        return None
    mend = "It holds the benign trigger in its first line and, if you like, the cue in its second."
    try:
        lines = read_text(name, error=OptionsError, most_bytes=LARGEST_FILE).splitlines()
    except OptionsError as error:
        raise OptionsError(f"the secret file {error.what}", mend=mend) from None
    if not 1 <= len([line for line in lines if line.strip()]) <= 2 or not lines[0].strip():
        raise OptionsError(f"the secret file {name} does not have one or two lines of words", mend=mend)
    return Secret(lines[0].strip(), lines[1].strip() if len(lines) > 1 else "")
