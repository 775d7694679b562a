"""The baseline's published figure, and its transforms by hand."""

import numpy as np
import pytest

from hale.core.grid import Grid
from hale.core.method import Training
from hale.core.scan import Contrast, Scan, Space, Split
from hale.data.bids import read_bids
from hale.data.cohort import of_split
from hale.data.references import read_mask
from hale.io.cache import Cache
from hale.methods.intensity import SIGN, Intensity, Transform
from hale.metrics.voxel import average_precision
from hale.pipeline.prepare import read_entry
from hale.post.chain import processed
from hale.prep.chain import prepare, space_of
from hale.recipe import bundled, read_recipe
from hale.train.run import FabricRun


def scan(values: list[float], contrast: Contrast) -> Scan:
    image = np.array(values, np.float32).reshape(1, -1, 1, 1)
    grid = Grid(shape=image.shape[1:], affine=np.eye(4))
    space = Space(slots=((contrast,),), grid=grid)
    return Scan(id="x", space=space, image=image, brain=image[0] > 0)


def scores(values: list[float], contrast: Contrast, transform: Transform) -> list[float]:
    one = scan(values, contrast)
    detector = Intensity(transform=transform).restore({}, one.space)
    return [round(float(x), 3) for x in detector.score(one).values.ravel()]


def test_robust_z_by_hand():
    # median 3, absolute deviations 2 1 0 1 7: their median 1, so one step is 1 / 1.4826
    found = scores([1, 2, 3, 4, 10, 0], Contrast.FLAIR, Transform.ROBUST_Z)
    assert found == [0, 0, 0, 0.674, 4.721, 0]


def test_equalised_by_hand_with_a_tie():
    found = scores([5, 1, 5, 9, 0], Contrast.FLAIR, Transform.EQUALISED)
    assert found == [0.625, 0.25, 0.625, 1.0, 0]


def test_dark_is_abnormal_on_t1w_and_bright_elsewhere():
    values = [1.0, 2.0, 3.0, 4.0, 5.0]
    dark = scores(values, Contrast.T1W, Transform.EQUALISED)
    for contrast in set(SIGN) - {Contrast.T1W}:
        assert scores(values, contrast, Transform.EQUALISED) == dark[::-1]
    assert dark[0] == 1


def test_one_grey_value_is_nowhere_abnormal():
    assert scores([2.0] * 4, Contrast.FLAIR, Transform.ROBUST_Z) == [0] * 4


def test_stroke_slices_score_0_49(shared_data):
    """94 FLAIR slices, all brain voxels pooled: 0.49 ± 0.01 AUPRC, whatever method is beside it."""
    recipe = read_recipe(bundled()["intensity-flair-slice"])
    tests = of_split(read_bids(shared_data / "soop", recipe.prep.slots), Split.TEST)
    space = space_of(recipe.prep, read_entry(tests[0]))
    detector = recipe.method.fit(Training(space=space), FabricRun(device="cpu"))
    found, truth = [], []
    for entry in tests:
        prepared = prepare(read_entry(entry), recipe.prep, Cache(), space)
        anomaly = processed(detector.score(prepared.scan), space.grid, recipe.post)
        name = entry.path.name.replace("FLAIR", "desc-lesion_mask")
        lesion = read_mask(entry.path.with_name(name), space.grid)
        found.append(anomaly.values[prepared.scan.brain])
        truth.append(lesion[prepared.scan.brain])
    assert len(tests) == 94
    pooled = average_precision(np.concatenate(found), np.concatenate(truth))
    assert pooled == pytest.approx(0.49, abs=0.01)
