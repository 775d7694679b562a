"""`hale calibrate --set`: what comes after the detector may change, the detector may not."""

import json
import tomllib

from hale.cli import run


def calibrate(place, out, *options: str) -> int:
    data, cache = ("--data", str(place.healthy)), ("--cache", str(place.cache))
    running = (*data, *cache, "--out", str(out), "--workers", "1")
    return run(["calibrate", str(place.model), *running, *options])


def test_another_post_processing_is_calibrated_anew(place, tmp_path):
    assert calibrate(place, tmp_path / "other", "--set", "post.smooth_mm=6") == 0
    recipe = tomllib.loads((tmp_path / "other/recipe.toml").read_text())
    before = tomllib.loads((place.model / "recipe.toml").read_text())
    assert (before["post"]["smooth_mm"], recipe["post"]["smooth_mm"]) == (0, 6)
    assert recipe["method"] == before["method"]
    sums = [
        json.loads((folder / "manifest.json").read_text())["files"]["calibration.safetensors"]
        for folder in (place.model, tmp_path / "other")
    ]
    assert sums[0] != sums[1]


def test_what_was_fitted_is_not_changed(place, tmp_path, capsys, line):
    for setting in ("prep.low=3", "method.transform=equalised", "seed=3"):
        assert calibrate(place, tmp_path / "other", "--set", setting) == 2
        assert "changes more than [post] and [calibration]" in line(capsys)
        assert not (tmp_path / "other").exists()


def test_a_score_that_the_method_cannot_have_is_refused(place, tmp_path, capsys, line):
    assert calibrate(place, tmp_path / "other", "--set", "post.score=ssim") == 2
    assert "intensity makes no pseudo-healthy picture" in line(capsys)
