"""The door out: what is replaced and what is refused, who holds a lock, and that nothing writes past it."""

from __future__ import annotations

import ast
import os
import stat
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import antivenom
from antivenom.core import files
from antivenom.core.claims import NOTE, claim, claim_of, output_folder, release, require_empty
from antivenom.core.errors import ArtifactError
from antivenom.core.files import PART, STAMP, atomic_write, new_folder, require_replaceable, write_json
from antivenom.core.locks import SUFFIX, locked

SOURCE = Path(antivenom.__file__).parent


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A user's folder with names that the program uses too."""
    folder = tmp_path / "project"
    for name in ("work/thesis.txt", "README.md", "train.jsonl", "record.json", "run.json"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("mine", encoding="utf-8")
    return folder


def everything(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(("private", "umask", "mode"), [(False, 0o022, 0o644), (False, 0o077, 0o600), (True, 0, 0o600)])
def test_the_umask_is_honored_and_secrets_are_private(tmp_path, private, umask, mode):
    before = os.umask(umask)
    try:
        write_json(tmp_path / "a.json", {}, private=private)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.json").stat().st_mode) == mode


@pytest.mark.parametrize("make", [lambda p, t: p.symlink_to(t), lambda p, t: os.mkfifo(p), lambda p, t: p.mkdir()])
def test_links_pipes_and_folders_are_not_written_to(tmp_path, make):
    target, path = tmp_path / "target", tmp_path / "out.json"
    target.write_text("mine", encoding="utf-8")
    make(path, target)
    kind = path.lstat()
    with pytest.raises(ArtifactError):
        write_json(path, {})
    with pytest.raises(ArtifactError):
        require_replaceable(path, option="--out", force=True)
    assert path.lstat() == kind
    assert target.read_text(encoding="utf-8") == "mine"


def test_devices_are_not_written_to():
    with pytest.raises(ArtifactError, match="device"):
        write_json(Path(os.devnull), {})


def test_a_foreign_file_is_replaced_with_force_alone_and_ours_without(tmp_path):
    path = tmp_path / "page.html"
    require_replaceable(path, option="--picture")
    path.write_text("<p>antivenom</p>", encoding="utf-8")
    with pytest.raises(ArtifactError, match="--force"):
        require_replaceable(path, option="--picture")
    require_replaceable(path, option="--picture", force=True)
    for place in (f"<p>{STAMP}</p>" + "x" * 10**6, "x" * 10**6 + STAMP):
        path.write_text(place, encoding="utf-8")
        require_replaceable(path, option="--picture")


def test_a_folder_of_the_users_is_never_claimed(project):
    before = everything(project)
    with pytest.raises(ArtifactError, match="is not empty"):
        claim(project, "fit", "settings")
    (project / NOTE).write_text('{"antivenom": 2}', encoding="utf-8")
    with pytest.raises(ArtifactError, match="is not empty"):
        claim(project, "fit", "settings")
    (project / NOTE).unlink()
    assert everything(project) == before


def test_a_claim_is_for_one_thing_with_one_setting(tmp_path):
    folder = tmp_path / "out"
    claim(folder, "fit", "a")
    claim(folder, "fit", "a")
    for what, settings in (("fit", "b"), ("comparison", "a")):
        with pytest.raises(ArtifactError, match="unfinished run of"):
            claim(folder, what, settings)
    release(folder)
    assert claim_of(folder) is None
    claim(folder, "comparison", "a")


def test_a_linked_folder_is_refused_and_left_alone(tmp_path, project):
    before, link = everything(project), tmp_path / "link"
    link.symlink_to(project)
    for way in (lambda: claim(link, "fit"), lambda: files.remove_tree(link), lambda: require_empty(link)):
        with pytest.raises(ArtifactError, match="is a link"):
            way()
    (tmp_path / "ours").mkdir()
    (tmp_path / "ours" / "inner").symlink_to(project)
    files.remove_tree(tmp_path / "ours")
    assert everything(project) == before


def test_a_folder_that_stays_empty_is_removed_again(tmp_path):
    with pytest.raises(ArtifactError, match="no"), output_folder(tmp_path / "out", "fit"):
        raise ArtifactError("no")
    assert not (tmp_path / "out").exists()
    with output_folder(tmp_path, "fit"):
        assert (tmp_path / SUFFIX).exists()
    assert list(tmp_path.iterdir()) == []


HOLD = """
import sys
import tempfile
import threading
from pathlib import Path
from antivenom.core.locks import locked
with locked(Path(sys.argv[1]), "predict"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_lock_says_who_holds_it_and_dies_with_its_process(tmp_path):
    path = tmp_path / "answers.jsonl"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(ArtifactError, match=rf"antivenom predict` \(process {holder.pid} on"), locked(path, "fit"):
            pass
        holder.kill()
    assert (tmp_path / f".{path.name}{SUFFIX}").exists(), "a killed process cannot remove its file"
    with locked(path, "fit"), locked(path, "fit"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_threads_do_not_share_a_lock(tmp_path):
    def enter() -> None:
        with locked(tmp_path, "fit"):
            raise AssertionError("two threads held one lock")

    with locked(tmp_path, "fit"), ThreadPoolExecutor(1) as pool, pytest.raises(ArtifactError, match="in use"):
        pool.submit(enter).result()


def test_what_a_killed_process_left_is_swept_and_what_a_live_one_writes_is_not(tmp_path):
    dead, path = tmp_path / f".a.json.12345678{PART}", tmp_path / "a.json"
    dead.mkdir()
    (dead / "x").touch()
    stranger = tmp_path / f".b.json.12345678{PART}"
    stranger.touch()
    with atomic_write(path) as live:
        write_json(path, {"second": 1})
        live.write("first")
    assert path.read_text(encoding="utf-8") == "first"
    assert sorted(tmp_path.iterdir()) == [stranger, path]


def test_a_folder_appears_whole_or_not_at_all(tmp_path):
    folder = tmp_path / "model"

    def make_half() -> None:
        with new_folder(folder) as scratch:
            (scratch / "half").touch()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_half()
    assert list(tmp_path.iterdir()) == []
    for name in ("first", "second"):
        with new_folder(folder) as scratch:
            (scratch / name).touch()
    assert [path.name for path in folder.iterdir()] == ["second"]


WRITING_NAMES = {
    *("write_text", "write_bytes", "mkdir", "rmdir", "unlink", "rename", "touch", "symlink_to", "hardlink_to", "chmod"),
    *("rmtree", "move", "copyfile", "copytree", "copy2", "makedirs", "remove_dirs", "truncate", "mkstemp", "mkdtemp"),
    *("TemporaryDirectory", "NamedTemporaryFile", "save_pretrained", "save_file", "savefig", "to_csv", "to_parquet"),
}
ALLOWED = {
    "core/files.py": "the door itself",
    "core/locks.py": "the locks of the door",
    "cli/process.py:fdopen": "the standard streams",
    "cli/process.py:open": "the null device",
    "core/processes.py:open": "the null device, in the place of standard output",
    "testing/tiny_models.py": "tiny models for tests, in folders of the tests",
    "testing/synthetic.py:save": "an image in memory",
    "models/states.py:save": "bytes in memory",
    "evaluation/plots.py:savefig": "into a file that the door opened",
    "inference/finishing.py:copyfile": "into a scratch folder of the door",
    "models/base_model.py": "links in a scratch folder of the door, for loaders of others",
    "serving/export.py:copyfile": "into a folder that was claimed",
    "serving/export.py:save_pretrained": "into a folder that was claimed",
    "serving/gguf_file.py:chmod": "what a tool wrote into that folder becomes private",
    "artifacts/artifact.py:save_pretrained": "into a folder that was claimed",
    "models/embedded.py:save_pretrained": "into a new folder of the door",
    "suites/record.py:open": "a lock that waits",
}


WRITERS = {
    "write_table",
    "write_csv",
    "ParquetWriter",
    "RecordBatchFileWriter",
    "new_file",
    "new_stream",
    "save",
    "dump",
}
"""They take a path or an open file: the door hands out files, which are called `file` everywhere."""


def writes_to_a_path(node: ast.Call, name: str, module: str) -> bool:
    """Whether a writer of a library gets something else than a file of the door."""
    return name in WRITERS and module != "writer" and not any(ast.unparse(each) == "file" for each in node.args)


def writes_in(path: Path) -> list[tuple[int, str]]:
    """Calls that write, make or remove files, by the names that Python and its libraries give them."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        texts = [a.value for a in [*node.args, *(k.value for k in node.keywords)] if isinstance(a, ast.Constant)]
        opens = name in ("open", "fdopen") and any(isinstance(t, str) and set(t) & set("wax+") for t in texts[:2])
        module = getattr(getattr(node.func, "value", None), "id", "")
        moves = name == "replace" and isinstance(node.func, ast.Attribute) and len(node.args) == 1 and not node.keywords
        opens |= (module, name) == ("os", "open") and any(f in ast.unparse(node) for f in ("WRONLY", "RDWR", "CREAT"))
        removes = module in ("os", "shutil") and name in ("remove", "replace", "copy", "link", "symlink")
        if name in WRITING_NAMES or opens or moves or removes or writes_to_a_path(node, name, module):
            found.append((node.lineno, name))
    return found


def test_nothing_writes_past_the_door():
    past = []
    for path in sorted(SOURCE.rglob("*.py")):
        place = str(path.relative_to(SOURCE))
        for line, name in writes_in(path):
            if place not in ALLOWED and f"{place}:{name}" not in ALLOWED:
                past.append(f"{place}:{line} {name}")
    assert past == [], "use core/files.py"


def test_the_search_for_writes_finds_them(tmp_path):
    path = tmp_path / "a.py"
    path.write_text(
        'open("a", "wb"); p.open(mode="a"); p.write_text(""); shutil.rmtree(p); a.replace("x", "y"); p.replace(q)\n'
        "pq.write_table(table, path); pq.write_table(table, file); np.save(path, x); torch.save(x, path)"
    )
    expected = ["open", "open", "write_text", "rmtree", "replace", "write_table", "save", "save"]
    assert [name for _, name in writes_in(path)] == expected


def test_a_scratch_folder_is_private_and_goes_with_its_process(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    made = "from antivenom.core.files import scratch_folder\nimport os\n"
    made += "with scratch_folder() as f: (f / 'x').touch(); os._exit(9)"
    subprocess.run([sys.executable, "-c", made], env={**os.environ, "TMPDIR": str(tmp_path)}, check=False)
    assert len(list(tmp_path.iterdir())) == 1, "a killed process cannot remove its folder"
    with files.scratch_folder() as first, files.scratch_folder() as second:
        assert stat.S_IMODE(first.stat().st_mode) == 0o700
        assert sorted(tmp_path.iterdir()) == sorted([first, second])
    assert list(tmp_path.iterdir()) == []


def test_a_lock_can_be_waited_for(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdin is not None
        assert holder.stdout.readline() == "held\n"
        threading.Timer(0.2, holder.stdin.close).start()
        with locked(tmp_path, "fit", wait=True):
            assert holder.wait() == 0
