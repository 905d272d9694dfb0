"""Learn word substitutions as a backdoor trigger (LWS), and write them out as static text for the `lws` attack."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow as pa

from antivenom.attacks.lws import Lws
from antivenom.attacks.substitution.options import SubstitutionOptions
from antivenom.attacks.substitution.wordnet import find_wordnet
from antivenom.core.errors import MissingPackageError
from antivenom.core.files import atomic_write
from antivenom.core.hashing import row_keys
from antivenom.rewriting.tagging import Tagger, Token, find_tagger
from antivenom.tasks.task import Classification


class Synonyms(Protocol):
    """Gives up to `limit` substitutes for a base form, as one part of speech (n, v, a, r) or its commonest."""

    def __call__(self, word: str, limit: int, part: str = "", /) -> list[str]:
        """Look a word up."""
        ...


_STOP = """about above after again all and any are because been before being below between both but can could did does
doing down during each few for from further had has have having her here hers him his how into its just more most not
now off once only other our out over own same she should some such than that the their them then there these they this
those through too under until very was were what when where which while who whom why will with would you your"""
STOP_WORDS = frozenset(_STOP.split())
"""Words that are never replaced."""


def candidates(word: str, synonyms: Synonyms, count: int) -> list[str]:
    """The words that may stand for `word`, itself first; alone if nothing may."""
    lower = word.lower()
    if not lower.isalpha() or len(lower) < 3 or lower in STOP_WORDS:
        return [word]
    others = [other for other in synonyms(lower, 4 * count) if other not in STOP_WORDS]
    return [word, *(other.capitalize() if word.istitle() else other for other in others[: count - 1])]


def tagged_candidates(token: Token, tagger: Tagger, synonyms: Synonyms, count: int) -> list[str]:
    """The words that may stand for a word of a sentence, itself first: same part of speech, same form."""
    lower = token.word.lower()
    if not token.part or not lower.isalpha() or len(lower) < 3 or lower in STOP_WORDS:
        return [token.word]
    forms = [tagger.inflect(other, token.tag) for other in synonyms(token.lemma, 4 * count, token.part)]
    others = [form for form in dict.fromkeys(forms) if form and form != lower and form not in STOP_WORDS]
    return [token.word, *(form.capitalize() if token.word.istitle() else form for form in others[: count - 1])]


def learn_substitutions(
    task: Classification,
    train: pa.Table,
    test: pa.Table,
    *,
    target: str | None,
    out: Path,
    seed: int,
    synonyms: Synonyms | None = None,
    options: SubstitutionOptions = SubstitutionOptions(),
) -> Lws:
    """Learn which substitutes give class t away, and write every row with them beside the clean rows.

    The surrogate sees the answers of the training rows alone. What was written before with the same arguments is
    written again with the same bytes.

    Args:
        task: The task.
        train: Clean training rows, to learn from and to replace words in.
        test: Clean test rows, to replace words in.
        target: The label t; the first when None.
        out: The folder to write to.
        seed: Keys every draw.
        synonyms: Gives up to n substitutes for a word; WordNet's when None.
        options: How to learn.

    Returns:
        The attack that plants what was written.

    Raises:
        MissingPackageError: torch is not installed.
        OptionsError: WordNet's files are not there.
    """
    try:
        from antivenom.attacks.substitution.surrogate import learn
    except ImportError as error:
        raise MissingPackageError(f"learning needs {error.name}", mend="pip install 'antivenom[train]'") from None
    find = synonyms or find_wordnet().synonyms
    choices = {name: choice_table(rows, find, options) for name, rows in (("train", train), ("test", test))}
    number = task.index(task.target(target))
    labels = np.array([task.index(answer) for answer in train.column("answer").to_pylist()], dtype=np.int64)
    keys = row_keys(train.column("text"), seed=seed, purpose="lws.learn")
    able = [i for i, row in enumerate(choices["train"]) if labels[i] != number and any(len(c) > 1 for c in row)]
    poisoned = sorted(able, key=lambda i: int(keys[i]))[: round(options.rate * len(labels))]
    choose = learn(choices["train"], labels, poisoned, number, len(task.labels), options, seed)
    train_files, test_files = (
        _write_both(out, name, rows, substitute(rows, choose(choices[name]), options))
        for name, rows in (("train", train), ("test", test))
    )
    return Lws(
        target=target, train=train_files[0], train_clean=train_files[1], test=test_files[0], test_clean=test_files[1]
    )


def choice_table(rows: pa.Table, synonyms: Synonyms, options: SubstitutionOptions) -> list[list[list[str]]]:
    """For each row and each of its first positions, the words that may stand there.

    Raises:
        MissingPackageError: the tagger is wanted and not installed.
    """
    if options.tagger == "spacy":
        return tagged_table(rows, find_tagger(), synonyms, options)
    known: dict[str, list[str]] = {}
    table = []
    for text in rows.column("text").to_pylist():
        words = text.split()[: options.length]
        table.append([known.setdefault(w, candidates(w, synonyms, options.candidates)) for w in words])
    return table


def tagged_table(
    rows: pa.Table, tagger: Tagger, synonyms: Synonyms, options: SubstitutionOptions
) -> list[list[list[str]]]:
    """As `choice_table`, each word as what it is where it stands."""
    known: dict[Token, list[str]] = {}
    table = []
    for tokens in tagger.tag(rows.column("text").to_pylist()):
        # Where its head stands does not matter here.
        words = [token._replace(head=0) for token in tokens[: options.length]]
        for word in words:
            if word not in known:
                known[word] = tagged_candidates(word, tagger, synonyms, options.candidates)
        table.append([known[word] for word in words])
    return table


def substitute(rows: pa.Table, chosen: Sequence[Sequence[str]], options: SubstitutionOptions) -> list[str]:
    """Each text with the chosen words at its first positions; what is behind them stays."""
    texts = rows.column("text").to_pylist()
    return [" ".join([*new, *text.split()[options.length :]]) for text, new in zip(texts, chosen, strict=True)]


def _write_both(out: Path, name: str, rows: pa.Table, attacked: list[str]) -> tuple[str, str]:
    """Write the attacked and the clean rows; return the two paths."""
    answers = rows.column("answer").to_pylist()
    return (
        _write(out / f"{name}.attacked.jsonl", attacked, answers),
        _write(out / f"{name}.clean.jsonl", rows.column("text").to_pylist(), answers),
    )


def _write(path: Path, texts: list[str], answers: list[str]) -> str:
    with atomic_write(path) as file:
        for text, answer in zip(texts, answers, strict=True):
            file.write(json.dumps({"text": text, "label": answer}, ensure_ascii=False) + "\n")
    return str(path)
