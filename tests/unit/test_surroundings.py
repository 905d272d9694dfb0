"""What a test leaves around it is told with its name."""

from __future__ import annotations

from surroundings import Surroundings


def test_what_is_left_is_told(monkeypatch, tmp_path):
    for name in ("HOME", "TMPDIR", "ANTIVENOM_CACHE", "HF_HOME", "PYTEST_DEBUG_TEMPROOT"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    around = Surroundings()
    (around.home / ".cache").mkdir()
    assert around.left() == []
    (around.temporary / "forgotten").touch()
    around.look("test_a")
    around.look("test_b")
    (around.home / ".profile").touch()
    assert around.left() == [f"{around.temporary}/forgotten (after test_a)", f"{around.home}/.profile (after the end)"]
    around.remove()
    assert not around.root.exists()
