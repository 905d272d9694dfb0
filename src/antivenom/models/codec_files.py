"""Which files a tokenizer or a processor is made of: what is digested, and all that their loaders get to see."""

from __future__ import annotations

from pathlib import Path

from antivenom.core.errors import ArtifactError
from antivenom.core.intake import require_regular

BEGINNINGS = (
    "tokenizer",
    "special_tokens_map",
    "added_tokens",
    "vocab",
    "merges",
    "chat_template",
    "spiece",
    "sentencepiece",
    "tekken",
    "processor_config",
    "preprocessor_config",
    "video_preprocessor_config",
    "normalizer",
    "bpe.codes",
)
"""How their names begin, in any family of models."""
ENDINGS = (".tiktoken", ".spm", ".model")
MORE_TEMPLATES = "additional_chat_templates"
"""A folder of further chat templates, which loaders read whole."""
LARGEST_FILE = 256 * 2**20


def codec_files(folder: Path) -> dict[str, Path]:
    """The files of a tokenizer or processor in `folder`, by the names that loaders look for.

    Raises:
        ArtifactError: one is a pipe, a device, or larger than any tokenizer.
    """
    found = [path for path in folder.iterdir() if _belongs(path.name) and not path.is_dir()]
    more = folder / MORE_TEMPLATES
    if more.is_dir():
        found += [path for path in more.iterdir() if path.suffix == ".jinja"]
    return {
        path.relative_to(folder).as_posix(): require_regular(path, error=ArtifactError, most_bytes=LARGEST_FILE)
        for path in sorted(found)
    }


def _belongs(name: str) -> bool:
    return name.startswith(BEGINNINGS) or name.endswith(ENDINGS)
