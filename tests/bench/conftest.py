"""Made data that a test may spoil, and where a benchmark of it goes."""

import sys
from pathlib import Path

import pytest

from hale.bench.place import Place
from hale.io.cache import Cache
from hale.pipeline.job import Options

sys.path.insert(0, str(Path(__file__).parent))
from made_data import write_data


@pytest.fixture
def data(tmp_path) -> Path:
    """Data to spoil."""
    return write_data(tmp_path / "data")


@pytest.fixture
def place(data, tmp_path) -> Place:
    return Place(data=data, out=tmp_path / "out")


@pytest.fixture
def options(tmp_path) -> Options:
    return Options(device="cpu", cache=Cache(tmp_path / "cache"))
