"""API keys: who may ask. Only their digests are kept, and comparing takes the same time whoever asks."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass

from antivenom.core.errors import OptionsError

SHORTEST = 16


@dataclass(frozen=True)
class Keys:
    """The keys of a service; without any, everybody may ask."""

    digests: tuple[tuple[str, bytes], ...] = ()
    """The name and the SHA-256 of each key."""

    @classmethod
    def read(cls, lines: Iterable[str]) -> Keys:
        """One key a line, `NAME:KEY` or `KEY`; empty lines and those that begin with # do not count.

        Raises:
            OptionsError: a key is too short to be one, or there is none.
        """
        found = []
        for number, line in enumerate(lines, 1):
            name, colon, key = line.strip().rpartition(":")
            if not key or line.startswith("#"):
                continue
            if len(key) < SHORTEST or not key.isascii() or not key.isprintable():
                raise OptionsError(
                    f"the API key on line {number} has fewer than {SHORTEST} plain characters",
                    mend="Make one, for instance with `openssl rand -hex 32`.",
                )
            found.append((name if colon else f"key-{number}", _digest(key)))
        if not found:
            raise OptionsError("there are no API keys", mend="Write one a line, NAME:KEY.")
        return cls(tuple(found))

    def who(self, authorizations: list[str]) -> str | None:
        """The name of the key in a request's `Authorization` headers; None for nobody.

        Every key is compared whether or not one before it fits.
        """
        if not self.digests:
            return "anybody"
        scheme, _, key = authorizations[0].partition(" ") if len(authorizations) == 1 else ("", "", "")
        asked = _digest(key.strip())
        name: str | None = None
        for known, digest in self.digests:
            if hmac.compare_digest(asked, digest):
                name = known
        return name if scheme.lower() == "bearer" else None


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
