"""Options that were on the command line once: what to write instead."""

from __future__ import annotations

from antivenom.core.errors import OptionsError

OF_P2P = ("reserve", "ratio", "mode", "others", "cue", "placement")
OF_STANDARD = ("least-rows", "most-associated", "refusal-limit")
OF_THE_SECRET = ("benign-trigger", "benign-cue")
MOVED = {
    **{f"--{name}": f"--defense p2p:{name}=VALUE" for name in OF_P2P},
    **{f"--{name}": f"--defense standard:{name.replace('-', '_')}=VALUE" for name in OF_STANDARD},
    **{f"--{name}": "--secret-file FILE: other processes can read a command line" for name in OF_THE_SECRET},
}


def refuse_moved(words: list[str]) -> None:
    """Say where an option went; the value, which may be a secret, is not repeated.

    Raises:
        OptionsError: a word is such an option.
    """
    for word in words:
        name = word.partition("=")[0]
        if name in MOVED:
            raise OptionsError(f"there is no option {name}", mend=f"Write {MOVED[name]}.")
