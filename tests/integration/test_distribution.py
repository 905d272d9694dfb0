"""The wheel and the sdist hold the program and nothing else, and the program runs from the wheel."""

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MOST_BYTES = 2_000_000

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def distributions(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    build = "import hatchling.build as b, sys; b.build_wheel(sys.argv[1]); b.build_sdist(sys.argv[1])"
    subprocess.run([sys.executable, "-c", build, str(out)], cwd=ROOT, check=True, capture_output=True)
    return out


def test_they_hold_no_results_and_no_tests(distributions):
    [wheel], [sdist] = distributions.glob("*.whl"), distributions.glob("*.tar.gz")
    inside = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0].partition("-")[0] for name in inside} == {"antivenom"}
    assert "antivenom/py.typed" in inside
    assert any(name.endswith("tasks/presets/sst2.yaml") for name in inside)
    with tarfile.open(sdist) as archive:
        tops = {name.split("/")[1] for name in archive.getnames() if "/" in name}
    assert not tops & {"results", "research", "suites", "fuzz", ".ci"}
    assert max(path.stat().st_size for path in (wheel, sdist)) < MOST_BYTES


def test_the_wheel_runs(distributions, tmp_path):
    [wheel] = distributions.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    rows = tmp_path / "rows.csv"
    rows.write_text("text,label\n" + "".join(f"a {'dull' if n % 2 else 'good'} film {n},{n % 2}\n" for n in range(200)))
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site"), "COLUMNS": "100"}
    for words in (
        ["--version"],
        ["methods"],
        ["tasks"],
        ["validate", str(rows)],
        ["demo", "--rows-only", "--out", "sample"],
    ):
        done = subprocess.run(
            [sys.executable, "-m", "antivenom", *words], env=environment, cwd=tmp_path, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout
    where = "import antivenom; print(antivenom.__file__)"
    found = subprocess.run([sys.executable, "-c", where], env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert str(tmp_path) in found.stdout
