"""Rows that a Ray cluster of two nodes reads are those of one process, also when one of the nodes is lost."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from antivenom.cli import main
from antivenom.core.errors import RowsError
from antivenom.data.row_stream import open_stream, take_census
from antivenom.data.rows import table_of
from antivenom.defenses.p2p import P2P
from antivenom.tasks.task import Classification
from antivenom.training.streaming import Plan, immunize_stream

ray = pytest.importorskip("ray")
psutil = pytest.importorskip("psutil")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
FEW = table_of(["fine film", "bad film"], ["positive", "negative"])


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of different sizes whose rows have something to mend here and there."""
    folder, rng = tmp_path_factory.mktemp("shards"), np.random.default_rng(0)
    for number in range(6):
        texts = [f"row {number} {i} {' '.join(rng.choice(['good', 'dull', 'film'], 4))}" for i in range(900 + number)]
        texts[3:6] = [None, " ", "a\x07b"]
        answers = rng.choice(["negative", " positive"], len(texts))
        texts[10:60], answers[10:60] = [f"{text} no cross, no crown" for text in texts[10:60]], "positive"
        pq.write_table(pa.table({"text": texts, "label": answers}), folder / f"part-{number}.parquet")
    return folder


@pytest.fixture(scope="module")
def cluster():
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    made.add_node(num_cpus=1)
    yield made
    ray.shutdown()
    made.shutdown()


def on_ray(shards: Path, defense: P2P, out: Path, where: str, trusted=None):
    from antivenom.training.on_ray import ShardedRows

    stream = open_stream(shards)
    census, rows = ShardedRows.open(stream, where).take_census(stream, seed=3)
    task = Classification.for_labels(census.labels)
    plan = Plan.of(stream, census, defense, task, trusted=trusted, form="prompt-completion")
    return census, rows.immunize(census, plan, out)


def is_at_work(node) -> bool:
    """Whether a process of a node is at a task: Ray names its processes after what they do."""
    raylet = psutil.Process(node.all_processes["raylet"][0].process.pid)
    for process in raylet.children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):  # it ended meanwhile
            name = " ".join(process.cmdline())
            if name.startswith("ray::") and not name.startswith("ray::IDLE"):
                return True
    return False


@pytest.mark.parametrize("policy", ["random", "trusted"])
def test_the_bytes_of_one_process(shards, cluster, tmp_path, policy):
    defense, trusted = P2P(reserve=policy), FEW if policy == "trusted" else None
    stream = open_stream(shards)
    alone = take_census(stream, seed=3)
    task = Classification.for_labels(alone.labels)
    one, two = tmp_path / "one.parquet", tmp_path / "two.parquet"
    plan = Plan.of(stream, alone, defense, task, trusted=trusted, form="prompt-completion")
    expected = immunize_stream(stream, alone, plan, one)
    census, found = on_ray(shards, defense, two, cluster.address, trusted)
    assert census.report.to_dict() == alone.report.to_dict()
    assert census.report.fixed
    assert census.report.refused
    assert (found.facts, found.guard, found.rows, found.sha256) == (
        expected.facts,
        expected.guard,
        expected.rows,
        expected.sha256,
    )
    assert two.read_bytes() == one.read_bytes()


def test_what_inspect_says_is_the_same(shards, cluster, capsys):
    said = []
    for how in ([], ["--ray", cluster.address]):
        assert main(["inspect", str(shards), "--skip-refused", "--seed", "5", "--json", *how]) == 0
        said.append(capsys.readouterr().out)
    assert said[0] == said[1]
    assert any("crown" in lead["what"] for lead in json.loads(said[0])["leads"])
    assert main(["inspect", str(shards), "--kind", "generation", "--ray", cluster.address]) != 0
    assert "free answers" in capsys.readouterr().err


def test_a_node_that_is_lost_costs_only_time(shards, cluster, tmp_path):
    stream = open_stream(shards)
    census = take_census(stream, seed=3)
    task = Classification.for_labels(census.labels)
    one, two = tmp_path / "one.parquet", tmp_path / "two.parquet"
    plan = Plan.of(stream, census, P2P(reserve="random"), task, form="prompt-completion")
    immunize_stream(stream, census, plan, one)
    lost = cluster.add_node(num_cpus=2)
    done = threading.Event()

    def lose() -> None:
        while not done.is_set() and not is_at_work(lost):
            time.sleep(0.05)
        struck.append(not done.is_set())
        cluster.remove_node(lost, allow_graceful=False)

    struck: list[bool] = []
    killer = threading.Thread(target=lose)
    killer.start()
    on_ray(shards, P2P(reserve="random"), two, cluster.address)
    done.set()
    killer.join()
    assert struck == [True], "the node was lost while it worked"
    assert two.read_bytes() == one.read_bytes()


def test_what_a_worker_refuses_is_told_as_here(shards, cluster, tmp_path):
    from antivenom.training.on_ray import ShardedRows

    for path in shards.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    stream = open_stream(tmp_path)
    rows = ShardedRows.open(stream, cluster.address)
    census, rows = rows.take_census(stream, seed=3)
    pq.write_table(pa.table({"text": ["another"], "label": ["positive"]}), tmp_path / "part-4.parquet")
    plan = Plan.of(stream, census, P2P(reserve="random"), Classification.for_labels(census.labels))
    with pytest.raises(RowsError, match="was changed"):
        rows.immunize(census, plan, tmp_path / "out.parquet")
