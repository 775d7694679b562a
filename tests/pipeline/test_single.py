"""A method that learns from the scan itself is a model of one scan; any other is refused."""

import numpy as np
import pytest

from hale.core.errors import Refused
from hale.core.grid import Grid
from hale.core.scan import Contrast, RawScan, Volume
from hale.io.cache import Cache
from hale.pipeline.detect import detect
from hale.pipeline.single import (
    names_a_method,
    recipe_hash,
    single_scan_model,
    single_scan_recipe,
)
from hale.prep.settings import Mode, Normalisation

GRID = Grid(shape=(40, 48, 40), affine=np.diag([4.0, 4.0, 4.0, 1.0]))


def scan(contrast: Contrast) -> RawScan:
    """An extracted ellipsoid, brighter to the right, with noise and a spot of 3 x 3 x 3 voxels."""
    rng = np.random.default_rng(0)
    at = np.indices(GRID.shape) - (np.array(GRID.shape).reshape(3, 1, 1, 1) - 1) / 2
    inside = (at[0] / 16) ** 2 + (at[1] / 20) ** 2 + (at[2] / 16) ** 2 < 1
    tissue = 500 + 8 * at[0] + 10 * rng.standard_normal(GRID.shape)
    values = np.where(inside, tissue, 0).astype(np.float32)
    values[20:23, 20:23, 20:23] += 600
    return RawScan(id="x", volumes={contrast: Volume(values=values, grid=GRID)})


@pytest.mark.parametrize("contrast", list(Contrast))
def test_a_methods_name_runs_where_the_scan_lies(contrast):
    prep = single_scan_recipe("intensity", contrast, []).prep
    assert prep.mode is Mode.NATIVE
    assert prep.slots == ((contrast,),)
    assert (prep.normalise is Normalisation.WINDOW) == (contrast is Contrast.CT)


def test_a_recipe_keeps_its_own_contrast_and_settings_change_it():
    assert single_scan_recipe("intensity-default", None, []).prep.slots == ((Contrast.T1W,),)
    changed = single_scan_recipe("intensity-default", None, ['prep.slots=[["T2w"]]'])
    assert changed.prep.slots == ((Contrast.T2W,),)
    assert changed.prep.mode is Mode.FULL


def test_a_file_called_like_a_method_is_a_recipe(tmp_path, monkeypatch):
    assert names_a_method("intensity")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "intensity").write_text('[method]\nname = "asymmetry"\n')
    assert not names_a_method("intensity")
    assert single_scan_recipe("intensity", None, []).method_name == "asymmetry"


@pytest.mark.parametrize("method", ["atlas", "ae-default"])
def test_what_learns_from_a_cohort_is_refused(method):
    with pytest.raises(Refused, match=rf"--method {method}: learns from healthy scans.*hale fit"):
        single_scan_recipe(method, Contrast.T1W, [])


def test_what_there_is_not_is_refused():
    with pytest.raises(Refused, match="--method nosuch: is neither a method nor a recipe"):
        single_scan_recipe("nosuch", Contrast.T1W, [])


def test_the_map_has_ranks_and_no_p_values(tmp_path):
    raw = scan(Contrast.FLAIR)
    recipe = single_scan_recipe("intensity", Contrast.FLAIR, ["prep.bias=false"])
    found = detect(single_scan_model(recipe, raw), raw, Cache(tmp_path))
    assert (found.pvalue, found.mask, found.validity, found.calibration) == (None,) * 4
    assert found.flagged is None
    highest = np.argwhere(found.anomaly > np.quantile(found.anomaly, 1 - 27 / found.anomaly.size))
    assert (np.abs(highest - 21) <= 1).all()
    assert found.provenance["model"] == "intensity"
    assert found.provenance["model_sha256"] == recipe_hash(recipe)


def test_results_of_other_settings_have_another_hash():
    one = single_scan_recipe("intensity", Contrast.FLAIR, [])
    other = single_scan_recipe("intensity", Contrast.FLAIR, ["method.transform=equalised"])
    assert recipe_hash(one) != recipe_hash(other)
    assert recipe_hash(one) == recipe_hash(single_scan_recipe("intensity", Contrast.FLAIR, []))
