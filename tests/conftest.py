"""A ball for a brain: the smallest scan with everything that a scan has."""

from pathlib import Path

import numpy as np
import pytest

from hale.core.grid import Grid
from hale.core.scan import Case, Contrast, Scan, Space

AFFINE = np.array([[2.0, 0, 0, -15], [0, 2, 0, -15], [0, 0, 2, -15], [0, 0, 0, 1]])
GRID = Grid(shape=(16, 16, 16), affine=AFFINE)  # 2 mm; its middle, the ball's, is 0 mm
SPACE = Space(slots=((Contrast.FLAIR,),), grid=GRID)


def phantom(seed: int, *, lesion: bool = False) -> Case:
    """A ball with noise, and a bright cube on its left as its lesion."""
    rng = np.random.default_rng(seed)
    brain = ((np.indices(GRID.shape) - 7.5) ** 2).sum(0) < 49
    mask = np.zeros(GRID.shape, bool)
    if lesion:
        mask[3:6, 6:9, 6:9] = True
    noise = rng.standard_normal(GRID.shape)
    image = np.where(brain, 0.5 + 0.05 * noise, 0) + 0.8 * mask
    scan = Scan(id=f"phantom-{seed}", space=SPACE, image=image[None].astype("f4"), brain=brain)
    return Case(scan=scan, lesion=mask)


@pytest.fixture(scope="session")
def healthy() -> list[Scan]:
    return [phantom(seed).scan for seed in range(4)]


@pytest.fixture(scope="session")
def held_out() -> list[Scan]:
    return [phantom(seed).scan for seed in (20, 21)]


@pytest.fixture(scope="session")
def ill() -> Case:
    return phantom(99, lesion=True)


@pytest.fixture(scope="session")
def labelled() -> list[Case]:
    return [phantom(seed, lesion=True) for seed in (10, 11)]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real scans, beside the project."""
    folder = Path(__file__).parents[2] / "shared/data"
    if not folder.is_dir():
        pytest.skip("the real scans are not here (../shared/data)")
    return folder
