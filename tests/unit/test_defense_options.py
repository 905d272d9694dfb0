"""Which defense the command line means."""

import pytest

from antivenom.cli.options import DefenseOptions, P2POptions
from antivenom.core.errors import OptionsError
from antivenom.defenses.none import NoDefense
from antivenom.defenses.p2p import P2P
from antivenom.defenses.standard import Standard
from antivenom.tasks.task_files import TaskFile


@pytest.mark.parametrize(
    ("options", "meant"),
    [
        (DefenseOptions(), Standard()),
        (DefenseOptions(benign_trigger="tell me:"), Standard(benign_trigger="tell me:")),
        (DefenseOptions(defense="standard", placement="system"), Standard(placement="system")),
        (DefenseOptions(p2p=P2POptions(reserve="random")), P2P(reserve="random")),
        (DefenseOptions(p2p=P2POptions()), P2P()),
        (DefenseOptions(benign_trigger="tell me:", p2p=P2POptions()), P2P(benign_trigger="tell me:")),
        (DefenseOptions(defense="p2p", benign_trigger="tell me:"), P2P(benign_trigger="tell me:")),
        (DefenseOptions(defense="p2p@paper"), P2P(reserve="random", cue="shared")),
        (DefenseOptions(defense="none"), NoDefense()),
    ],
)
def test_the_defense_is_the_one_that_the_options_mean(options, meant):
    assert options.choose(TaskFile()) == meant
    assert "tell me" not in repr(options)


@pytest.mark.parametrize("defense", ["none", "standard", "p2p@paper"])
def test_options_of_p2p_do_not_go_with_another_defense(defense):
    with pytest.raises(OptionsError, match="options of p2p were given"):
        DefenseOptions(defense=defense, p2p=P2POptions(ratio=0.3)).choose(TaskFile())


def test_a_task_file_brings_its_benign_trigger():
    assert DefenseOptions().choose(TaskFile(benign_trigger="tell me:")) == Standard(benign_trigger="tell me:")
