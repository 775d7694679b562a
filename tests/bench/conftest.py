"""Made data that a test may spoil, and where a benchmark of it goes."""

import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from hale.bench.board import board_of
from hale.bench.outcome import Outcome
from hale.bench.place import Place
from hale.bench.run import run
from hale.data.references import read_map
from hale.io.cache import Cache
from hale.pipeline.job import Options

sys.path.insert(0, str(Path(__file__).parent))
from made_data import whole_suite, write, write_data


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


@pytest.fixture(scope="session")
def bench(tmp_path_factory) -> Place:
    """Made data that nobody spoils, other people's maps, and where a benchmark of them goes."""
    folder = tmp_path_factory.mktemp("bench")
    data = write_data(folder / "data")
    for number in range(21, 29):  # an oracle's map: the lesion itself
        mask = read_map(data / f"ill/sub-{number}/sub-{number}_desc-lesion_mask.nii.gz")
        write(folder / f"maps/theirs/sub-{number}.nii.gz", mask.values)
    return Place(data=data, out=folder / "out", maps=folder / "maps")


@pytest.fixture(scope="session")
def quick(bench) -> Options:
    return Options(device="cpu", cache=Cache(bench.data.parent / "cache"))


@pytest.fixture(scope="session")
def outcome(bench, quick) -> Outcome:
    """The finished benchmark."""
    return run(whole_suite(), bench, quick)


@pytest.fixture(scope="session")
def board(outcome, quick) -> dict[str, Any]:
    return board_of(outcome, quick)


@pytest.fixture
def copied(outcome, tmp_path) -> Place:
    """The finished benchmark, to be spoilt."""
    shutil.copytree(outcome.place.out, tmp_path / "out")
    return Place(data=outcome.place.data, out=tmp_path / "out", maps=outcome.place.maps)
