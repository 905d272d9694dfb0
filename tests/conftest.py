from __future__ import annotations

import os

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("HF_DATASETS_OFFLINE", "1")
os.environ["ANTIVENOM_PRECISION"] = "fp32"  # tiny models are compared exactly; tests of bf16 ask for it
os.environ.setdefault("OMP_NUM_THREADS", "1")  # tiny models: threads cost more than they bring

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, settings

from antivenom.tasks.task import Classification
from antivenom.testing import synthetic_rows, tiny_model
from surroundings import Surroundings

SURROUNDINGS = Surroundings() if os.environ.get("ANTIVENOM_SURROUNDINGS") else None
settings.register_profile("offline", deadline=None, suppress_health_check=list(HealthCheck))
settings.load_profile("offline")


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="session")
def tokenizer(model_folder: Path):
    from antivenom.models.tokenizer import load_tokenizer

    return load_tokenizer(model_folder)


@pytest.fixture(scope="session")
def task() -> Classification:
    return Classification.for_labels(("negative", "positive"))


@pytest.fixture(scope="session")
def rows() -> pa.Table:
    return synthetic_rows(200)


@pytest.fixture(autouse=True)
def nothing_is_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """Note what the test leaves around it."""
    yield
    if SURROUNDINGS:
        SURROUNDINGS.look(request.node.nodeid)


@pytest.fixture(scope="session", autouse=True)
def nothing_changed() -> Iterator[None]:
    """Fail where anything is left outside the folders of the tests when all of them have ended."""
    yield
    left = SURROUNDINGS.left() if SURROUNDINGS else []
    assert not left, "\n".join(left)
