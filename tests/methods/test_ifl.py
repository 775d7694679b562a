from dataclasses import replace

import numpy as np
import pytest
import torch

from hale.core.errors import Refused
from hale.core.method import Estimates, Seeded, Training
from hale.core.run import Precision
from hale.methods.ifl import IFL, IFLDetector
from hale.recipe import bundled, read_recipe
from hale.train.classes import PUBLISHED, Palette
from hale.train.points import Axes, Coordinates
from hale.train.restoration import Start
from hale.train.run import FabricRun

TINY = IFL(
    code=8,
    width=48,
    frequencies=4,
    dropout=0.0,
    lr=1e-2,
    epochs=40,
    halve_every=15,
    volumes=2,
    points=512,
    fit_iterations=(20,),
    fit_points=(512,),
    fixed_points=512,
    minimum_mm=2.0,
    mean_mm=6.0,
)


@pytest.fixture(scope="module")
def detector(healthy) -> IFLDetector:
    run = FabricRun(device="cpu", precision=Precision.FULL, seed=0)
    return TINY.fit(Training(space=healthy[0].space, healthy=healthy), run)


def test_defaults_are_the_specified_ones():
    ifl = IFL()
    assert (ifl.code, ifl.width, ifl.frequencies, ifl.dropout) == (256, 512, 10, 0.2)
    assert (ifl.lr, ifl.code_lr, ifl.halve_every, ifl.epochs) == (5e-4, 2, 500, 2001)
    assert (ifl.points, ifl.volumes, ifl.inside, ifl.penalty) == (16_384, 6, 0.5, 1e-4)
    assert (ifl.start, ifl.fit_penalty, ifl.fit_bounded) == (Start.MEAN, 1e-4, True)
    assert (ifl.minimum_mm, ifl.mean_mm) == (3 * 1.5, 15 * 1.5)
    assert (ifl.mode_filter, ifl.coordinates, ifl.masked) == (3, Coordinates.CENTRES, True)


def test_the_released_recipe_is_the_published_one():
    recipe = read_recipe(bundled()["ifl-released"])
    ifl = recipe.method
    assert (ifl.fit_iterations, ifl.fit_points, ifl.fit_lr) == ((501, 101), (10_000, 50_000), 1e-3)
    assert (ifl.start, ifl.attempts, ifl.patience) == (Start.RANDOM, 1, 0)
    assert (ifl.fit_penalty, ifl.fit_bounded, ifl.masked, ifl.sparse) == (0, False, False, False)
    assert (ifl.inside, ifl.mode_filter, ifl.palette) == (0, 2, "published")
    assert (ifl.coordinates, ifl.axes) == (Coordinates.RELEASED, Axes.SPL)
    assert recipe.prep.shape == (160, 160, 160)
    assert recipe.prep.spacing_mm == 1.5
    assert (recipe.prep.low, recipe.prep.high, recipe.prep.clip) == (2, 98, True)


def test_operations_of_a_restoration():
    """As published, and by default at 2 mm; 3.17 MFLOP a point, its code multiplied once."""
    released = read_recipe(bundled()["ifl-released"]).method
    assert released.passes(160**3) * 3.168e-6 == pytest.approx(76.8, abs=0.2)
    assert IFL().passes(260_000) * 3.168e-6 == pytest.approx(17.2, abs=0.2)


def test_says_how_long_it_takes_at_most(detector, ill):
    assert isinstance(detector, Estimates)
    ten = replace(detector, settings=replace(TINY, fit_iterations=(2000,)))
    assert ten.estimate(ill.scan) > 5 * detector.estimate(ill.scan) > 0


def test_uniform_logits_score_ln_10_everywhere(detector, ill):
    net = detector.net
    last = f"lin{8}"
    flat = replace(detector, net=net)
    torch.nn.init.zeros_(getattr(flat.net, last).weight)
    torch.nn.init.zeros_(getattr(flat.net, last).bias)
    values = flat.score(ill.scan).values
    np.testing.assert_allclose(values[ill.scan.brain], np.log(10), rtol=1e-5)


def test_scoring_leaves_the_network_alone(detector, ill):
    before = {name: array.copy() for name, array in detector.state().items()}
    found = detector.find(ill.scan)
    detector.score(ill.scan)
    after = detector.state()
    for name, array in before.items():
        np.testing.assert_array_equal(after[name], array)
    assert not np.array_equal(found.code.numpy(), before["mean_code"])


def test_pseudo_healthy_is_made_of_the_centres_without_the_lesion(detector, ill):
    image = detector.score(ill.scan).pseudo_healthy
    inside = image[0][ill.scan.brain]
    assert np.isin(inside, detector.centres[0]).all()
    assert not image[:, ~ill.scan.brain].any()
    assert image[0][ill.lesion].mean() < ill.scan.image[0][ill.lesion].mean() - 0.3


def test_every_class_can_be_painted(detector, ill):
    """The public code drops the last class in one place."""
    biased = replace(detector)
    with torch.no_grad():
        biased.net.lin8.bias[9] = 1e3
    image = biased.reconstruct(ill.scan)
    np.testing.assert_allclose(image[0][ill.scan.brain], detector.centres[0, 9])


def test_another_seed_and_another_draw_find_other_codes(detector, ill):
    assert isinstance(detector, Seeded)
    first = detector.find(ill.scan).code
    assert torch.equal(detector.find(ill.scan).code, first)
    assert not torch.equal(detector.find(ill.scan, draw=1).code, first)
    assert not torch.equal(replace(detector, seed=1).find(ill.scan).code, first)


def test_without_a_mask_the_whole_grid_is_decoded_and_zeros_count_beyond_it(detector, ill):
    whole = replace(detector, settings=replace(TINY, masked=False, mean_mm=30.0))
    brain = ill.scan.brain
    everywhere = whole.score(ill.scan).values
    assert not everywhere[~brain].any()
    inside = replace(whole, settings=replace(TINY, mean_mm=30.0)).score(ill.scan).values
    assert everywhere[brain].mean() < inside[brain].mean()


def test_scores_alike_in_bfloat16(detector, ill):
    full = detector.score(ill.scan).values[ill.scan.brain]
    half = replace(detector, precision=Precision.BF16).score(ill.scan).values[ill.scan.brain]
    assert np.corrcoef(full, half)[0, 1] > 0.97


def test_published_centres_are_part_of_the_state(healthy):
    run = FabricRun(device="cpu", precision=Precision.FULL)
    brief = replace(TINY, palette=Palette.PUBLISHED, epochs=1)
    state = brief.fit(Training(space=healthy[0].space, healthy=healthy), run).state()
    assert state["centres"][0] == pytest.approx(PUBLISHED)


def test_the_loss_of_held_out_scans_is_logged(healthy, held_out):
    run = FabricRun(device="cpu", precision=Precision.FULL)
    seen = {}
    run.log = lambda **figures: seen.update(figures)
    training = Training(space=healthy[0].space, healthy=healthy, held_out=held_out)
    found = replace(TINY, epochs=2).fit(training, run)
    expected = np.mean([found.find(scan).loss for scan in held_out])
    assert seen["held_out"] == pytest.approx(expected)


def test_no_healthy_scan_is_refused(healthy):
    with pytest.raises(Refused, match="healthy cohort"):
        TINY.fit(Training(space=healthy[0].space), FabricRun(device="cpu"))


def test_two_golden_numbers(detector, ill):
    """Seed 0 on the phantom; a change here is a change of the method."""
    found = detector.score(ill.scan)
    lesion, brain = found.values[ill.lesion].mean(), found.values[ill.scan.brain].mean()
    assert np.array([lesion, brain]) == pytest.approx([4.95783, 2.10091], rel=0.05)
