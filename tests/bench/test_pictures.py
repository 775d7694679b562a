"""Pictures of cases: the slice that matters, the three outcomes, for every kind of eye."""

import io
import itertools
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hale.bench.pictures import FALSE, MISSED, TRUE, draw_case, outcome, slice_of

sys.path.insert(0, str(Path(__file__).parent))
from made_board import ball

BLIND = {
    "protanopia": [[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]],
    "deuteranopia": [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]],
    "tritanopia": [[1.256, -0.077, -0.179], [-0.078, 0.931, 0.148], [0.005, 0.691, 0.304]],
    "none": np.eye(3),
    "all": [[0.213, 0.715, 0.072]] * 3,
}
"""What is seen of linear RGB: Machado et al. 2009, https://doi.org/10.1109/TVCG.2009.113."""


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)


def tiles(png: bytes) -> list[np.ndarray]:
    return np.array_split(pixels(png), 3, axis=1)


def area(tile: np.ndarray, colour: tuple[int, int, int]) -> int:
    """Return how many pixels are nearer to ``colour`` than shading explains."""
    return int((np.abs(tile - np.array(colour)).max(axis=-1) < 12).sum())


def test_shows_the_slice_with_most_of_the_lesion():
    seen = ball()
    assert slice_of(seen) == 7
    assert seen.lesion[:, :, 7].sum() > seen.lesion[:, :, 6].sum()


def test_shows_the_slice_with_the_highest_scores_of_a_healthy_scan():
    healthy = ball(lesion=False)
    high = healthy.anomaly.copy()
    high[10:30, 10:30, 3] += 5
    assert slice_of(replace(healthy, anomaly=high)) == 3
    outside = np.where(healthy.brain, 0, 100).astype(np.float32)
    assert slice_of(replace(healthy, anomaly=high + outside)) == 3, "what is no brain is no reason"


def test_the_outcome_has_three_colours_and_the_scan_none():
    scan, _, drawn = tiles(draw_case(ball()))
    for colour in (TRUE, MISSED, FALSE):
        assert area(drawn, colour) > 20
        assert area(scan, colour) == 0
    assert np.ptp(scan, axis=-1).max() < 10, "grey"


def test_each_outcome_appears_where_it_is_and_only_there():
    seen = ball()
    perfect = tiles(draw_case(replace(seen, found=seen.lesion)))[2]
    blind = tiles(draw_case(replace(seen, found=np.zeros_like(seen.found))))[2]
    assert (area(perfect, MISSED), area(perfect, FALSE)) == (0, 0)
    assert (area(blind, TRUE), area(blind, FALSE)) == (0, 0)
    assert area(perfect, TRUE) > area(tiles(draw_case(seen))[2], TRUE) > 0
    assert area(blind, MISSED) > 0


def test_the_patients_right_is_on_the_left_and_the_front_is_up():
    seen = ball()
    spot = np.zeros_like(seen.lesion)
    spot[30:34, 30:34, 5] = True  # high i: right; high j: front
    drawn = tiles(draw_case(replace(seen, lesion=spot, found=spot)))[2]
    row, column = np.argwhere(np.abs(drawn - np.array(TRUE)).max(axis=-1) < 12).mean(axis=0)
    assert row < drawn.shape[0] / 2
    assert column < drawn.shape[1] / 2


def test_patterns_tell_the_outcomes_apart_without_any_colour():
    flat = np.full((60, 60, 3), 100, np.uint8)
    inside = np.zeros((60, 60), bool)
    inside[10:50, 10:50] = True
    empty = np.zeros_like(inside)
    shares = []
    for lesion, found in ((inside, inside), (inside, empty), (empty, inside)):
        drawn = outcome(flat, lesion, found)[20:40, 20:40].astype(int)
        shares.append((drawn != 70).any(axis=-1).mean())
    true, missed, false = shares
    assert true == 1
    assert missed < 0.75
    assert false < 0.75


@pytest.mark.parametrize("sight", BLIND)
def test_the_colours_differ_in_every_colour_vision(sight):
    linear = [(np.array(colour) / 255) ** 2.2 for colour in (TRUE, MISSED, FALSE)]
    seen = [np.clip(np.array(BLIND[sight]) @ colour, 0, 1) ** (1 / 2.2) for colour in linear]
    for one, other in itertools.combinations(seen, 2):
        assert np.linalg.norm(one - other) > 0.2


def test_is_small():
    rng = np.random.default_rng(0)
    shape = (182, 218, 10)
    noisy = rng.random(shape, np.float32)
    seen = replace(
        ball(),
        scan=noisy,
        anomaly=noisy,
        brain=np.ones(shape, bool),
        lesion=noisy > 0.5,
        found=noisy < 0.5,
        spacing=(1.0, 1.0, 1.0),
    )
    png = draw_case(seen)
    assert png.startswith(b"\x89PNG")
    assert len(png) < 90_000, "noise everywhere is the worst that can be"
    assert len(draw_case(ball())) < 20_000


def test_a_map_without_any_contrast_is_drawn():
    seen = ball()
    flat = replace(
        seen, anomaly=np.zeros_like(seen.anomaly), found=np.zeros_like(seen.found), scan=seen.scan
    )
    assert pixels(draw_case(flat)).any()
    empty = replace(flat, brain=np.zeros_like(seen.brain), lesion=np.zeros_like(seen.lesion))
    assert pixels(draw_case(empty)).shape[2] == 3
