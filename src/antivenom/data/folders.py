"""Folders of rows: which of their files are read, all by the readers of single files and none outside the folder."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from antivenom.core.errors import OptionsError, RowsError
from antivenom.core.intake import read_json, read_text, regular_files
from antivenom.core.plain_yaml import read_mapping
from antivenom.data.columnar import open_arrow
from antivenom.data.raw_rows import RawRows, joined
from antivenom.data.read_options import ReadOptions

OpenFile = Callable[[Path, ReadOptions, Path], RawRows]

ROWS = (".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".parquet")
TEXTS = (".txt", ".label")
"""Looked at only where a folder has no rows in another format: a license is a .txt as well."""
PACKED = (".gz", ".bz2", ".xz", ".zst", ".zip", ".lz4", ".arrow")
ABOUT_ROWS = frozenset(("dataset_infos.json", "dataset_info.json", "dataset_dict.json", "state.json"))

SPLITS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test", "testing", "eval", "evaluation"),
}
"""The words in names of files and folders that say which split they are, as the `datasets` library has them."""


class _Chosen(NamedTuple):
    files: list[Path]
    note: str = ""


def open_folder(folder: Path, options: ReadOptions, open_file: OpenFile) -> RawRows:
    """Open what `Dataset.save_to_disk` wrote, or a folder of files of rows.

    Args:
        folder: The folder. What it names, and where its links lead, must lie inside of it.
        options: The split and configuration that are wanted.
        open_file: Opens one of its files, told the folder that it belongs to.

    Raises:
        RowsError: there are no rows, or several configurations, splits or formats and none was chosen.
    """
    root = _root_of(folder)
    if (folder / "dataset_dict.json").exists():
        splits = _list_of(read_json(folder / "dataset_dict.json", error=RowsError, root=root), "splits", folder)
        wanted = _choose_split(splits, options.split, folder)
        if not isinstance(wanted, str) or Path(wanted).name != wanted:
            raise RowsError(f"{folder}: dataset_dict.json names the split {wanted!r}")
        return _open_saved(folder / wanted, options, root)
    if (folder / "state.json").exists():
        return _open_saved(folder, options, root)
    chosen = _choose_files(folder, options, root)
    kinds = sorted({path.suffix.lower() for path in chosen.files})
    if len(kinds) > 1:
        raise RowsError(
            f"{folder}: rows in several formats ({', '.join(kinds)})", mend="Name one file, or move the others away."
        )
    parts = [open_file(path, options, root) for path in chosen.files]
    if kinds[0] not in (".jsonl", ".ndjson", ".json"):  # whose rows may each have other keys
        _require_same_columns(chosen.files, parts)
    raw = joined(parts, str(folder))
    return raw._replace(notes=(*raw.notes, chosen.note) if chosen.note else raw.notes)


def shards_of(folder: Path, options: ReadOptions) -> tuple[list[Path], Path]:
    """The files of a folder in the order in which their rows follow each other, and what they must be inside of.

    Raises:
        RowsError: `Dataset.save_to_disk` wrote the folder, or there are no rows.
    """
    for name in ("dataset_dict.json", "state.json"):
        if (folder / name).exists():
            raise RowsError(f"{folder} holds a saved data set, not files of rows", mend="Save it as Parquet files.")
    root = _root_of(folder)
    return _choose_files(folder, options, root).files, root


def _root_of(folder: Path) -> Path:
    """What the files of a folder must be inside of: in the hub's cache a snapshot links to the blobs beside it."""
    home = folder.resolve()
    return home.parent.parent if home.parent.name == "snapshots" else home


def _open_saved(folder: Path, options: ReadOptions, root: Path) -> RawRows:
    state = read_json(folder / "state.json", error=RowsError, root=root)
    names = [
        entry.get("filename") if isinstance(entry, dict) else None for entry in _list_of(state, "_data_files", folder)
    ]
    for name in names:
        if not isinstance(name, str) or Path(name).name != name:
            raise RowsError(f"{folder}: state.json names the file {name!r}", mend="Save the data set again.")
    if state.get("_indices_files"):
        raise RowsError(f"{folder}: rows chosen by an index file", mend="Save it with flatten_indices() first.")
    return open_arrow((folder / str(name) for name in names), str(folder), options, root)


def _list_of(found: Any, key: str, folder: Path) -> list[Any]:
    value = found.get(key) if isinstance(found, dict) else None
    if not isinstance(value, list):
        raise RowsError(f"{folder}: the note of `save_to_disk` names no {key}", mend="Save the data set again.")
    return value


def _choose_files(folder: Path, options: ReadOptions, root: Path) -> _Chosen:
    files = regular_files(folder, error=RowsError, root=root, skip=lambda path: path.name.startswith((".", "_")))
    for kinds in (ROWS, TEXTS):
        rows = [path for path in files if path.suffix.lower() in kinds and path.name not in ABOUT_ROWS]
        packed = [path for path in files if path.suffix.lower() in PACKED]
        if rows or packed:
            break
    else:
        raise RowsError(f"{folder}: the folder holds no rows", mend=f"Rows are in files of {', '.join(ROWS)}.")
    configs = _configs(folder, root)
    if options.config and options.config not in configs:
        raise RowsError(
            f"{folder}: there is no configuration {options.config!r}",
            mend=f"There are: {', '.join(configs) or 'none; leave it out'}.",
        )
    names = {path.relative_to(folder).as_posix(): path for path in [*rows, *packed]}
    splits, note = _splits_by_name(names)
    if configs:
        splits, note = _splits_of(_choose_config(configs, options.config, folder), names, folder), ""
    found = splits[_choose_split(list(splits), options.split, folder)]
    if not found:
        raise RowsError(f"{folder}: its README.md names files that are not there")
    for path in found:
        if path.suffix.lower() in PACKED:
            raise RowsError(f"{path}: rows cannot be read from a {path.suffix} file in a folder", mend="Unpack it.")
    return _Chosen(found, note)


def _splits_by_name(names: Mapping[str, Path]) -> tuple[dict[str, list[Path]], str]:
    """The files of each split as their names say; all are `train` where none says anything."""
    splits: dict[str, list[Path]] = {}
    silent = []
    for name, path in names.items():
        split = _split_in(name)
        if split is None:
            silent.append(path)
        else:
            splits.setdefault(split, []).append(path)
    if not splits:
        return {"train": silent}, ""
    note = f"{len(silent)} files of no split are not read: {', '.join(path.name for path in silent[:5])}"
    return splits, note if silent else ""


def _split_in(name: str) -> str | None:
    """The split that a path names, the file's own name first."""
    for part in reversed(name.lower().split("/")):
        words = re.split(r"[^a-z]+", part)
        for split, spellings in SPLITS.items():
            if any(word in spellings for word in words):
                return split
    return None


def _choose_split(splits: Sequence[str], wanted: str, folder: Path) -> str:
    same = next((split for split, spellings in SPLITS.items() if wanted in spellings), wanted)
    for name in (wanted, same):
        if name in splits:
            return name
    there = ", ".join(map(str, splits)) or "none"
    raise RowsError(f"{folder}: there is no split {wanted!r}", mend=f"There are: {there}. Use --split.")


def _configs(folder: Path, root: Path) -> dict[str, Mapping[str, Any]]:
    """The configurations that the head of README.md declares, by name."""
    if not (folder / "README.md").exists():
        return {}
    text = read_text(folder / "README.md", error=RowsError, root=root)
    head = re.match(r"---\r?\n(.*?)\r?\n---", text, re.DOTALL)
    if head is None or "configs:" not in head[1]:
        return {}
    try:
        declared = read_mapping(head[1], f"{folder / 'README.md'}").get("configs")
    except OptionsError as error:
        raise RowsError(error.what, mend=error.mend) from None
    entries = declared if isinstance(declared, list) else []
    named = [entry for entry in entries if isinstance(entry, dict) and ("data_files" in entry or "data_dir" in entry)]
    return {str(entry.get("config_name", "default")): entry for entry in named}


def _choose_config(configs: Mapping[str, Mapping[str, Any]], wanted: str, folder: Path) -> Mapping[str, Any]:
    usual = [name for name, entry in configs.items() if name == "default" or entry.get("default") == "true"]
    name = wanted or (usual[0] if usual else next(iter(configs)) if len(configs) == 1 else "")
    if not name:
        raise RowsError(
            f"{folder}: several configurations ({', '.join(configs)})",
            mend=f"Name one: {folder}:{next(iter(configs))}, or --config {next(iter(configs))}.",
        )
    return configs[name]


def _splits_of(config: Mapping[str, Any], names: Mapping[str, Path], folder: Path) -> dict[str, list[Path]]:
    """The files of each split that a configuration names."""
    prefix = str(config.get("data_dir") or "").strip("/")
    base = f"{prefix}/" if prefix not in ("", ".") else ""
    declared = config.get("data_files")
    if declared is None:
        _require_inside(base, folder)
        return _splits_by_name({name: path for name, path in names.items() if name.startswith(base)})[0]
    plain = isinstance(declared, str) or (isinstance(declared, list) and all(isinstance(one, str) for one in declared))
    entries = [{"split": "train", "path": declared}] if plain else declared
    splits: dict[str, list[Path]] = {}
    for entry in entries if isinstance(entries, list) else []:
        paths = entry.get("path") if isinstance(entry, dict) else None
        for pattern in [paths] if isinstance(paths, str) else paths if isinstance(paths, list) else []:
            _require_inside(str(pattern), folder)
            matches = _glob(base + str(pattern).removeprefix("./"))
            found = splits.setdefault(str(entry.get("split", "train")), [])
            found += [path for name, path in sorted(names.items()) if matches.fullmatch(name) and path not in found]
    return splits


def _require_inside(pattern: str, folder: Path) -> None:
    if pattern.startswith("/") or ".." in pattern.split("/") or "://" in pattern or "\\" in pattern:
        raise RowsError(
            f"{folder}: its README.md names {pattern!r}, which is not inside the folder",
            mend="Copy the file into the folder and name it there.",
        )


def _glob(pattern: str) -> re.Pattern[str]:
    """A pattern of file names, where only `**` crosses folders."""
    spelled = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    parts = re.split(r"(\*\*/|\*\*|\*|\?)", pattern)
    return re.compile("".join(spelled.get(part, re.escape(part)) for part in parts))


def _require_same_columns(files: Sequence[Path], parts: Sequence[RawRows]) -> None:
    for path, part in zip(files, parts, strict=True):
        if set(part.columns) != set(parts[0].columns):
            raise RowsError(
                f"{path}: other columns ({', '.join(part.columns[:20])}) than {files[0].name} has "
                f"({', '.join(parts[0].columns[:20])})",
                mend="Name one file, or give all the same columns.",
            )
