"""The door in: what opens, parses or loads something does it through core/intake.py, or is named here with a reason."""

from __future__ import annotations

import ast
from pathlib import Path

import antivenom

SOURCE = Path(antivenom.__file__).parent

READING_NAMES = {
    *("open", "read_text", "read_bytes", "read_table", "ParquetFile", "open_csv", "open_stream", "open_file", "OSFile"),
    *("memory_map", "safe_open", "load_file", "from_pretrained", "from_file", "load_dataset", "load_from_disk"),
    *("snapshot_download", "hf_hub_download", "ZipFile", "urlopen", "raw_decode", "fromfile", "loadtxt", "memmap"),
    *("read_schema", "read_metadata", "GGUFReader", "fromstring", "iterparse", "FileIO", "open_memmap"),
}
PARSERS = {("json", "load"), ("json", "loads"), ("np", "load"), ("numpy", "load"), ("yaml", "load"), ("spacy", "load")}
NEVER = {("torch", "load"), ("pickle", "load"), ("pickle", "loads"), ("yaml", "unsafe_load"), ("os", "popen")}
DOOR = {"read_text", "read_bytes", "open_stream", "open_file"}
"""Functions of ours that go by the names of methods of others."""
SAFE_WAYS_IN = {"staged", "foreign", "_loading", "require_regular", "open_regular", "_parquet", "_arrow"}
"""A loader of others is called inside one of these."""
ALLOWED = {
    "core/intake.py": "the door itself",
    "core/files.py": "the door out: it looks for the stamp of ours before it replaces a file",
    "core/locks.py": "locks, and notes of at most 4096 bytes in them",
    "core/plain_yaml.py:load": "the only reader of YAML: no tags, no aliases, all strings",
    "core/registry.py:loads": "words of the command line",
    "core/registry.py:raw_decode": "words of the command line",
    "core/processes.py:open": "the null device, to write to",
    "cli/process.py:open": "the null device",
    "cli/intake.py:open": "a stream that came through the door, in shards",
    "cli/__init__.py:read_text": "our own source",
    "suites/code.py:read_text": "our own source",
    "suites/identity.py": "digests of files that the user named",
    "suites/methods.py": "Python files of the user's own, which are run",
    "suites/record.py:open": "a lock",
    "training/checkpoints.py:open": "a checkpoint of ours, to flush it to the disk",
    "tasks/task_files.py:read_text": "presets inside the package",
    "data/embedded_data.py:read_text": "data of an installed package",
    "attacks/substitution/wordnet.py:read_text": "data of an installed package",
    "rewriting/plain_sentences.py:load": "an installed model of spaCy",
    "rewriting/tagging.py:load": "an installed model of spaCy",
    "data/delimited.py:open_csv": "of a file that came through the door",
    "data/images.py:open": "bytes that came through the door; decoded with all errors caught",
    "models/base_model.py:snapshot_download": "from the hub; its files are checked as any folder's are",
    "models/embedded.py": "a wheel whose digest is pinned",
    "models/states.py:safe_open": "states of ours, whose digest was compared",
    "models/precision.py:read_text": "/proc/cpuinfo",
    "inference/writing.py:read_text": "an answer",
    "serving/client.py:read_text": "an answer",
    "serving/upstream.py:loads": "a response whose size is bounded, of an engine that the user named",
    "serving/engines/transformers_serve.py:loads": "a string that we wrote",
}


def name_of(node: ast.Call) -> tuple[str, str]:
    """The module or object that a call is of, as far as it has a name, and the name of what is called."""
    if isinstance(node.func, ast.Attribute):
        return getattr(node.func.value, "id", "."), node.func.attr
    return "", getattr(node.func, "id", "")


def is_guarded(parents: list[ast.AST]) -> bool:
    """Whether a call stands in a block that a safe way in opens."""
    entered = [item.context_expr for one in parents if isinstance(one, ast.With) for item in one.items]
    return any(isinstance(one, ast.Call) and name_of(one)[1] in SAFE_WAYS_IN for one in entered)


def reads_in(path: Path) -> list[tuple[int, str]]:
    """Calls that open, parse or load, by the names that Python and its libraries give them."""
    found: list[tuple[int, str]] = []

    def walk(node: ast.AST, parents: list[ast.AST]) -> None:
        if isinstance(node, ast.Call):
            owner, name = name_of(node)
            door = not owner and name in DOOR
            copies = name == "loads" and any(isinstance(a, ast.Call) and name_of(a)[1] == "dumps" for a in node.args)
            reads = (name in READING_NAMES or (owner, name) in PARSERS) and not door and not copies
            if (owner, name) in NEVER or (reads and not is_guarded(parents)):
                found.append((node.lineno, name))
        for child in ast.iter_child_nodes(node):
            walk(child, [*parents, node])

    walk(ast.parse(path.read_text(encoding="utf-8")), [])
    return found


def test_nothing_is_read_past_the_door():
    used, past = set(), []
    for path in sorted(SOURCE.rglob("*.py")):
        place = str(path.relative_to(SOURCE))
        for line, name in reads_in(path):
            reason = next((key for key in (place, f"{place}:{name}") if key in ALLOWED), None)
            used.add(reason)
            if reason is None:
                past.append(f"{place}:{line} {name}")
    assert past == [], "use core/intake.py"
    assert not ALLOWED.keys() - used, "these are no longer needed"


def test_the_search_for_reads_finds_them(tmp_path):
    path = tmp_path / "a.py"
    path.write_text(
        'open("a"); p.read_text(); json.loads(x); torch.load(p); M.from_pretrained(p); read_text(p)\n'
        "json.loads(json.dumps(x))\n"
        "with staged(f) as place:\n    M.from_pretrained(place)\n    torch.load(place)"
    )
    assert [name for _, name in reads_in(path)] == ["open", "read_text", "loads", "load", "from_pretrained", "load"]


def test_nothing_of_others_runs():
    """No pickle, no remote code, no shell."""
    for path in sorted(SOURCE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            said = {key.arg: key.value for key in node.keywords}
            for key in ("shell", "trust_remote_code", "allow_pickle"):
                value = said.get(key)
                assert not (isinstance(value, ast.Constant) and value.value is True), f"{path}:{node.lineno} {key}"
            assert name_of(node) not in {("os", "system"), ("os", "popen")}, f"{path}:{node.lineno}"


def test_every_python_that_is_started_is_kept_from_the_working_folder():
    started = 0
    for path in sorted(SOURCE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.List) and node.elts and ast.unparse(node.elts[0]) == "sys.executable":
                started += 1
                assert ast.unparse(node.elts[1]) in ("'-I'", "'-P'", "str(script)"), f"{path}:{node.lineno}"
    assert started >= 5
