"""The accuracy benchmark says what its records hold."""

from benchmarks import accuracy
from benchmarks.accuracy import DEFENSES, read_records, right, table, undefended

from antivenom.core.files import write_json


def record(name: str, version: int, none: list[int], standard: list[int], seed: int = 0) -> dict:
    wrong = dict(zip(DEFENSES, (none, standard), strict=True))
    return {"name": name, "version": version, "rows": 10, "wrong": wrong, "settings": {"seed": seed}}


def test_the_newest_record_of_each_attack_counts(tmp_path):
    for version, wrong in ((9, [0]), (10, [0, 1])):
        write_json(tmp_path / f"addsent-{version}.json", record("addsent", version, [], wrong))
    write_json(tmp_path / "clean-9.json", record("clean", 9, [], []))
    found = read_records(tmp_path)
    assert list(found) == [("clean", 0), ("addsent", 0)]
    assert found["addsent", 0]["version"] == 10


def test_the_table_compares_the_same_rows():
    found = record("addsent", 10, none=[0, 1], standard=[1, 2, 3, 4])
    assert right(found, "none").tolist() == [False, False, *[True] * 8]
    line = table({("addsent", 0): found}).splitlines()[2]
    assert line == "| addsent | 0 | 10 | 80.0 | 60.0 | -20.0 | 3 | 1 | 0.62 |"
    assert "by -20.0 points on average and -20.0 at worst" in table({("addsent", 0): found})


def test_an_undefended_model_of_the_same_settings_is_not_asked_again(tmp_path, monkeypatch):
    write_json(tmp_path / "clean-9.json", record("clean", 9, [3, 4], []))
    write_json(tmp_path / "clean-9-seed1.json", record("clean", 9, [5], [], seed=1))
    known = read_records(tmp_path)
    monkeypatch.setattr(accuracy, "read_records", lambda: known)
    assert undefended("clean", {"seed": 0}) == [3, 4]
    assert undefended("clean", {"seed": 1}) == [5]
    assert undefended("clean", {"seed": 2}) == []
    assert undefended("addsent", {"seed": 0}) == []
