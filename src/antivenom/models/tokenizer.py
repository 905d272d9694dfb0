"""Load the tokenizer of a folder; torch is not needed for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from antivenom.core.errors import ArtifactError
from antivenom.core.intake import foreign, read_json, require_regular
from antivenom.models.base_model import CONFIG, LARGEST_CONFIG, staged
from antivenom.models.codec_files import codec_files

TOKENIZER_CONFIG = "tokenizer_config.json"
GENERIC = ("TokenizersBackend", "PreTrainedTokenizerFast")
"""Names of the class that reads `tokenizer.json` as it is."""

MOST_STEPS = 32
"""Of a normalizer or pre-tokenizer; those in use have fewer than ten."""


def load_tokenizer(folder: Path) -> Any:
    """Load a tokenizer, never running code from the folder; one without a padding token pads with its end token.

    Raises:
        ArtifactError: the folder is not there, or holds no tokenizer.
    """
    if not folder.is_dir():  # transformers would take its name for one of the hub
        raise ArtifactError(f"there is no folder {folder}", mend="Name the folder that your trainer wrote.")
    files = codec_files(folder)
    if (folder / CONFIG).exists():  # a tokenizer without a class of its own is looked up by the model's
        files[CONFIG] = require_regular(folder / CONFIG, error=ArtifactError, most_bytes=LARGEST_CONFIG)
    mend = f"Save it there: tokenizer.save_pretrained({str(folder)!r})."
    with (
        staged(files) as place,
        foreign(f"{folder} holds no tokenizer that can be loaded", error=ArtifactError, mend=mend),
    ):
        tokenizer = _loader(files).from_pretrained(place, trust_remote_code=False)
        _try(tokenizer)
    tokenizer.name_or_path = str(folder)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def _try(tokenizer: Any) -> None:
    """Use a tokenizer as everything here does; settings of a wrong type are not noticed by its loader.

    Steps that follow one another can lengthen a text many times, in a call that nothing interrupts: so there are few.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    for part in ("normalizer", "pre_tokenizer", "post_processor", "decoder"):
        steps = getattr(backend, part, None)
        if steps is not None and steps.__getstate__().count(b'"type":') > MOST_STEPS:
            raise ValueError(f"its {part} has more than {MOST_STEPS} steps")
    for special in (True, False):
        [ids] = tokenizer(["a word"], add_special_tokens=special, verbose=False)["input_ids"]
        tokenizer.decode(ids)
    names = [str(token.content) for token in tokenizer.added_tokens_decoder.values()]
    tokenizer.convert_tokens_to_ids([*names, *map(str, tokenizer.all_special_tokens)])
    for number in (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id):
        if number is not None and not 0 <= number < len(tokenizer):
            raise ValueError(f"a special token has the number {number}, of {len(tokenizer)}")


def _loader(files: Mapping[str, Path]) -> Any:
    """The class that `AutoTokenizer` would choose; it loads torch to choose, which takes longer than all the rest."""
    import transformers

    config = read_json(files[TOKENIZER_CONFIG], error=ArtifactError) if TOKENIZER_CONFIG in files else None
    said = config.get("tokenizer_class") if isinstance(config, dict) else None
    if CONFIG not in files and said in GENERIC:
        return transformers.PreTrainedTokenizerFast
    return transformers.AutoTokenizer


def word_pieces_of(folder: Path) -> Callable[[Sequence[str]], npt.NDArray[np.int64]]:
    """How many tokens the tokenizer of a folder cuts each word into where it stands behind a space.

    Raises:
        ArtifactError: the folder is not there, or holds no tokenizer.
    """
    tokenizer = load_tokenizer(folder)

    def word_pieces(words: Sequence[str]) -> npt.NDArray[np.int64]:
        if not words:
            return np.zeros(0, dtype=np.int64)
        encoded = tokenizer([f" {word}" for word in words], add_special_tokens=False, verbose=False)
        return np.array([len(ids) for ids in encoded["input_ids"]], dtype=np.int64)

    return word_pieces
