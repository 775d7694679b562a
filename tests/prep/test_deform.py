"""A deformation fits better than an affine, folds nowhere, and can be undone."""

import numpy as np
import pytest

from hale.core.errors import Refused
from hale.core.scan import Volume
from hale.core.warp import Warp
from hale.data.phantom import phantom
from hale.io.template import mni152
from hale.prep import antspyx as module
from hale.prep.deform import deform
from hale.prep.register import register


@pytest.fixture(scope="module")
def found() -> tuple[Volume, np.ndarray, np.ndarray, Warp]:
    pytest.importorskip("ants")
    subject = phantom(7, 0)
    affine = register(subject.scan, subject.brain, mni152())
    return (
        subject.scan,
        subject.brain,
        affine,
        deform(subject.scan, subject.brain, mni152(), affine),
    )


def seen(scan: Volume, affine: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """The scan's values at positions in the template's affine frame."""
    from scipy.ndimage import map_coordinates

    to_index = np.linalg.inv(scan.grid.affine) @ affine
    at = to_index[:3, :3] @ positions.T + to_index[:3, 3:]
    return map_coordinates(scan.values, at, order=1)


def brain_positions() -> tuple[np.ndarray, np.ndarray]:
    template = mni152()
    index = np.argwhere(template.values > 0.3)[::37]
    return template.grid.positions(index), template.values[tuple(index.T)]


def test_it_fits_better_than_the_affine(found):
    scan, _, affine, warp = found
    at, wanted = brain_positions()
    before = np.corrcoef(seen(scan, affine, at), wanted)[0, 1]
    after = np.corrcoef(seen(scan, affine, warp.points(at)), wanted)[0, 1]
    assert after > before + 0.05
    assert after > np.corrcoef(seen(scan, affine, warp.points(at, inverse=True)), wanted)[0, 1]


def test_it_folds_nowhere_and_comes_back(found):
    warp = found[-1]
    assert warp.jacobian().min() > 0.1
    assert np.abs(warp.forward).max() > 1
    at, _ = brain_positions()
    there = warp.points(at)
    assert np.linalg.norm(warp.points(there, inverse=True) - at, axis=1).max() < 1


def test_it_repeats_to_the_bit(found):
    scan, brain, affine, warp = found
    again = deform(scan, brain, mni152(), affine)
    assert np.array_equal(again.forward, warp.forward)
    assert np.array_equal(again.inverse, warp.inverse)


def test_without_antspyx_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(module, "find_spec", lambda _: None)
    subject = phantom(7, 0)
    with pytest.raises(Refused, match=r"antspyx is not installed; .*hale\[ants\]"):
        deform(subject.scan, subject.brain, mni152(), np.eye(4))
