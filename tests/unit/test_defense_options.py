"""Which defense the command line means."""

import pytest

from antivenom.cli.options import DefenseOptions
from antivenom.core.errors import OptionsError
from antivenom.defenses import Chain
from antivenom.defenses.none import NoDefense
from antivenom.defenses.p2p import P2P
from antivenom.defenses.quarantine import Quarantine
from antivenom.defenses.standard import Standard
from antivenom.guards.secret import PAPER_SECRET, Secret
from antivenom.tasks.task_files import TaskFile


@pytest.mark.parametrize(
    ("options", "meant"),
    [
        (DefenseOptions(), Standard()),
        (DefenseOptions(defense="standard:placement=system"), Standard(placement="system")),
        (DefenseOptions(defense="p2p:reserve=random"), P2P(reserve="random")),
        (DefenseOptions(defense="p2p@paper"), P2P(reserve="random", secret=PAPER_SECRET)),
        (DefenseOptions(defense="none"), NoDefense()),
        (DefenseOptions(defense="quarantine+p2p:ratio=0.3"), Chain(parts=(Quarantine(), P2P(ratio=0.3)))),
    ],
)
def test_the_defense_is_the_one_that_the_options_mean(options, meant):
    assert options.choose(TaskFile()) == meant


def test_the_secret_comes_from_a_file_or_the_environment_and_never_from_the_command_line(tmp_path, monkeypatch):
    file = tmp_path / "secret.txt"
    file.write_text("tell me:\nReply:\n", encoding="utf-8")
    expected = Standard(secret=Secret("tell me:", "Reply:"))
    assert DefenseOptions(secret_file=str(file)).choose(TaskFile()) == expected
    monkeypatch.setenv("ANTIVENOM_SECRET_FILE", str(file))
    assert DefenseOptions().choose(TaskFile()) == expected
    chain = DefenseOptions(defense="quarantine+standard").choose(TaskFile())
    assert chain.parts == (Quarantine(), expected)
    with pytest.raises(OptionsError, match="command line"):
        DefenseOptions(defense='p2p:secret={"trigger": "tell me:"}').choose(TaskFile())


@pytest.mark.parametrize("content", [b"", b"\n\n", b"a\nb\nc\n", b"\xff\xfe"])
def test_a_secret_file_without_one_or_two_lines_is_refused(tmp_path, content):
    file = tmp_path / "secret.txt"
    file.write_bytes(content)
    with pytest.raises(OptionsError, match="secret file"):
        DefenseOptions(secret_file=str(file)).choose(TaskFile())


def test_the_sentence_of_the_paper_is_that_of_the_task_and_for_its_presets_alone():
    file = TaskFile(paper_trigger="The given problem is:")
    assert DefenseOptions().choose(file) == Standard()
    chosen = DefenseOptions(defense="p2p@paper").choose(file)
    assert isinstance(chosen, P2P)
    assert chosen.secret == Secret("The given problem is:", PAPER_SECRET.cue)
