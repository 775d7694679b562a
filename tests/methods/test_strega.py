"""StRegA: its loss, what it is shown, and what it draws."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.ndimage import label

from hale.core.errors import Refused
from hale.core.grid import Grid
from hale.core.method import Training
from hale.core.run import Precision
from hale.core.scan import Contrast, RawScan, Scan, Space, Volume
from hale.io.cache import Cache
from hale.methods.strega import StReGA, divergence, stretched
from hale.nets.context_vae import Coded, ContextVAE
from hale.pipeline.detect import detect
from hale.pipeline.model import Model
from hale.post.published import published_mask
from hale.prep.chain import space_of
from hale.recipe import build_recipe, bundled, read_recipe
from hale.train.context import ContextRestorer, Decision, Reading, Residue, difference
from hale.train.patches import Squares
from hale.train.run import FabricRun
from hale.train.slices import axial

TINY = {"size": 32, "maps": (4, 8), "latent": 6, "lr": 1e-2, "batch": 8, "steps": 20}


def run() -> FabricRun:
    return FabricRun(device="cpu", precision=Precision.FULL, seed=0)


def tissue_like(seed: int, side: int = 16) -> Scan:
    """A ball of classes 1/3, 2/3 and 1."""
    grid = Grid(shape=(side, side, side), affine=np.diag([2.0, 2.0, 2.0, 1.0]))
    brain = ((np.indices(grid.shape) - (side - 1) / 2) ** 2).sum(0) < (side / 2 - 1) ** 2
    classes = np.random.default_rng(seed).integers(1, 4, grid.shape)
    image = np.where(brain, classes / 3, 0).astype(np.float32)[None]
    space = Space(slots=((Contrast.T1W,),), grid=grid)
    return Scan(id=f"classes-{seed}", space=space, image=image, brain=brain)


def lively() -> ContextVAE:
    """A network whose output depends on its code, as those of default weights hardly do."""
    net = ContextVAE(1, size=32, maps=(4, 8), latent=6)
    with torch.no_grad():
        for weight in net.dec.parameters():
            weight.mul_(3)
    return net


def untrained(reading: Reading, seed: int = 0) -> ContextRestorer:
    torch.manual_seed(0)
    net = lively()
    return ContextRestorer(net=net, reading=reading, seed=seed)


def test_the_default_is_the_specified_one():
    method = StReGA()
    assert (method.context, method.beta, method.theta) == (0.5, 0.01, 1.0)
    assert (method.lr, method.batch) == (1e-4, 16)
    assert (method.size, method.maps, method.latent) == (256, (16, 32, 64, 128, 256), 256)
    assert not method.sampled
    assert method.decision is Decision.SCORE


def test_the_released_recipe_is_the_published_network_and_mask():
    recipe = read_recipe(bundled()["strega-released"])
    method = recipe.method
    assert isinstance(method, StReGA)
    shapes = method.shapes(space_of(recipe.prep))
    assert len(shapes) == 18
    assert sum(int(np.prod(shape)) for shape in shapes.values()) == 812_295_576
    assert (method.squares, method.sampled, method.decision) == (
        Squares.SINGLE,
        True,
        Decision.PUBLISHED,
    )
    assert (method.min_area, recipe.seed) == (256, 1701)


def test_the_default_recipe_has_its_parameters():
    recipe = read_recipe(bundled()["strega-default"])
    shapes = recipe.method.shapes(space_of(recipe.prep))
    assert sum(int(np.prod(shape)) for shape in shapes.values()) == 13_671_322


def test_a_perfect_standard_normal_code_costs_nothing():
    x = torch.rand(3, 1, 32, 32)
    nothing = torch.zeros(3, 6, 1, 1)
    clean = Coded(x_hat=x, mu=nothing, log_sigma=nothing)
    assert StReGA().loss(clean, x, x) == 0


def test_the_divergence_is_a_mean_over_the_latent_and_the_batch():
    mu, log_sigma = torch.full((1, 1024, 1, 1), 2.0), torch.full((1, 1024, 1, 1), 0.5)
    one = float(divergence(mu, log_sigma))
    assert one == pytest.approx(0.5 * (4 + np.e - 1) - 0.5, rel=1e-5)
    many = divergence(mu.expand(7, -1, -1, -1), log_sigma.expand(7, -1, -1, -1))
    assert float(many) == pytest.approx(one, rel=1e-6)
    half = torch.cat([mu[:, :512], torch.zeros(1, 512, 1, 1)], 1)
    sigma = torch.cat([log_sigma[:, :512], torch.zeros(1, 512, 1, 1)], 1)
    assert float(divergence(half, sigma)) == pytest.approx(one / 2, rel=1e-5)


def test_the_loss_weighs_its_parts():
    x, off = torch.zeros(2, 1, 8, 8), torch.ones(2, 1, 8, 8)
    mu, zero = torch.full((2, 6, 1, 1), 2.0), torch.zeros(2, 6, 1, 1)
    method = StReGA(context=0.25, beta=0.1, theta=2.0)
    assert float(method.loss(Coded(off, zero, zero), x, x)) == pytest.approx(0.75 * 2)
    assert float(method.loss(Coded(x, mu, zero), x, x)) == pytest.approx(0.75 * 0.1 * 2)
    assert float(method.loss(Coded(x, zero, zero), off, x)) == pytest.approx(0.25)


def test_held_out_slices_are_painted_over_the_same_each_time():
    slices, method = axial([tissue_like(0)]), StReGA(**TINY)
    net = lively().eval()
    with torch.no_grad():
        first, second = (
            method.objective(net, slices, torch.Generator().manual_seed(0)) for _ in range(2)
        )
        other = method.objective(net.train(), slices, torch.Generator().manual_seed(0))
    assert first == second
    assert other != first  # z is drawn while it learns


def watched(monkeypatch) -> list[torch.Tensor]:
    """What networks are given from now on."""
    seen: list[torch.Tensor] = []
    forward = ContextVAE.forward

    def noted(net, x, noise=None):
        seen.append(x.detach().clone())
        return forward(net, x, noise)

    monkeypatch.setattr(ContextVAE, "forward", noted)
    return seen


def test_training_and_testing_scale_a_volume_alike(monkeypatch):
    scan = tissue_like(0)
    scan = replace(scan, image=scan.image * np.float32(0.7))  # no slice reaches 1
    seen = watched(monkeypatch)
    method = StReGA(**TINY)
    slices = axial([scan])
    method.objective(ContextVAE(1, size=32, maps=(4, 8), latent=6), slices, torch.Generator())
    taught = seen.pop()[: len(slices)]
    untrained(Reading()).score(scan)
    assert torch.equal(torch.cat(seen), taught)


def test_the_public_code_scales_each_training_slice_by_itself(monkeypatch):
    seen = watched(monkeypatch)
    scan = tissue_like(0)
    dim = replace(scan, image=np.where(scan.image == 1, np.float32(2 / 3), scan.image))
    slices = axial([dim])
    StReGA(own_scale=True, **TINY).objective(
        ContextVAE(1, size=32, maps=(4, 8), latent=6), slices, torch.Generator()
    )
    taught = seen.pop()[: len(slices)]
    assert torch.allclose(taught.amax((2, 3)), torch.ones(len(slices), 1))
    assert slices.x.max() == pytest.approx(2 / 3)
    assert torch.equal(stretched(torch.zeros(1, 1, 2, 2)), torch.zeros(1, 1, 2, 2))


def test_the_mean_of_the_latent_repeats_whatever_the_seed():
    scan = tissue_like(0)
    first, second = (untrained(Reading(), seed).score(scan).values for seed in (0, 1))
    np.testing.assert_array_equal(first, second)


def test_the_drawn_latent_repeats_with_its_seed_alone():
    scan = tissue_like(0)
    reading = Reading(decision=Decision.PUBLISHED, min_area=2.0, sampled=True)
    first, same, other = (untrained(reading, seed).score(scan).values for seed in (7, 7, 8))
    np.testing.assert_array_equal(first > 0, same > 0)
    assert ((first > 0) != (other > 0)).any()


def test_draws_of_a_model_that_scores_by_the_mean():
    scan, detector = tissue_like(0), untrained(Reading())
    mean, one, two = (detector.reconstruct(scan, draw=draw) for draw in range(3))
    np.testing.assert_array_equal(mean, detector.score(scan).pseudo_healthy)
    np.testing.assert_array_equal(one, detector.reconstruct(scan, draw=1))
    assert (one != two).any()
    assert (one != mean).any()
    assert (one != replace(detector, seed=3).reconstruct(scan, draw=1)).any()


def test_the_map_is_positive_in_the_published_mask_and_nowhere_else():
    """Step by step, by hand."""
    scan = tissue_like(0)
    reading = Reading(decision=Decision.PUBLISHED, min_area=3.0)
    found = untrained(reading).score(scan)
    x = np.zeros((32, 32, 16), np.float32)
    x[8:24, 8:24] = scan.image[0]
    slices = torch.from_numpy(np.moveaxis(x, -1, 0)[:, None].copy())
    with torch.inference_mode():
        x_hat = untrained(reading).net(slices).x_hat[:, 0].permute(1, 2, 0).numpy()
    mask = published_mask(x_hat - x, x, min_pixels=3.0)[8:24, 8:24]
    np.testing.assert_array_equal(found.values > 0, mask & scan.brain)


def test_a_scan_without_any_residue_has_no_mask():
    scan = tissue_like(0)
    for decision in Decision:
        detector = untrained(Reading(decision=decision, residual=Residue.BELOW))
        with torch.no_grad():
            detector.net.dec.end.conv.weight.zero_()  # x_hat = 0: nothing is above the scan
        assert not detector.score(scan).values.any()


def test_the_modes_of_the_residual():
    x = np.array([0.2, 0.8], np.float32).reshape(1, 1, 2, 1)[:, [0, 0]]
    x_hat = np.full_like(x, 0.5)
    below, above, both = (difference(x, x_hat, mode)[0, :, 0] for mode in Residue)
    assert below == pytest.approx([0.3, 0])
    assert above == pytest.approx([0, 0.3])
    assert both == pytest.approx([0.3, 0.3])


def test_the_smallest_area_of_the_corrected_mask_is_in_mm2():
    scan = tissue_like(0)  # 2 mm: 4 mm² a pixel
    reading = Reading(residual=Residue.BOTH, decision=Decision.OTSU, min_area=8.0)
    few = untrained(reading).score(scan).values > 0
    for k in range(16):
        labels, count = label(few[..., k])
        assert all((labels == n).sum() >= 2 for n in range(1, count + 1))
    alone = untrained(replace(reading, min_area=4.0)).score(scan).values > 0
    assert alone.sum() > few.sum() > 0


def test_a_brain_that_does_not_fit_is_refused():
    scan = tissue_like(0, side=40)
    with pytest.raises(Refused, match="does not fit into 32 x 32"):
        untrained(Reading()).score(scan)
    training = Training(space=scan.space, healthy=[scan])
    with pytest.raises(Refused, match=r"raise method\.size"):
        StReGA(**TINY).fit(training, run())


def test_a_size_that_cannot_be_halved_is_refused():
    with pytest.raises(Refused, match="cannot be halved 4 times"):
        build_recipe({"method": {"name": "strega", "size": 100, "maps": [2, 2, 2, 2]}})


def test_results_lie_on_the_voxels_of_the_input():
    """240 x 240 x 155 in, 240 x 240 x 155 out, and the affine of the input."""
    affine = np.diag([-1.0, -1.0, 1.0, 1.0])
    affine[:3, 3] = (120, 119, -70)
    grid = Grid(shape=(240, 240, 155), affine=affine)
    values = np.zeros(grid.shape, np.float32)
    values[70:170, 50:190, 60:63] = np.random.default_rng(0).integers(1, 4, (100, 140, 3))
    raw = RawScan(id="brats-like", volumes={Contrast.T2W: Volume(values=values, grid=grid)})
    recipe = build_recipe(
        {
            "prep": {"mode": "given", "normalise": "classes", "slots": [["T2w"]]},
            "method": {"name": "strega", "maps": [2, 2, 2, 2], "latent": 2},
        }
    )
    space = space_of(recipe.prep, raw)
    state = {
        name: np.full(shape, 0.1, np.float32) for name, shape in recipe.method.shapes(space).items()
    }
    model = Model(
        recipe=recipe,
        space=space,
        detector=recipe.method.restore(state, space),
        calibration=None,
        provenance={},
    )
    found = detect(model, raw, Cache(), insist=True)
    assert found.anomaly.shape == found.brain.shape == (240, 240, 155)
    assert found.pseudo_healthy is not None
    assert found.pseudo_healthy.shape == (240, 240, 155)
    assert next(iter(found.contrasts.values())).grid.is_the_same_as(grid)
    assert (found.anomaly[values == 0] == 0).all()
    assert found.anomaly.any()


def test_two_golden_numbers(healthy, ill):
    """Seed 0 on the phantom; a change here is a change of the method."""
    settings = {**TINY, "size": 16, "maps": (8, 16), "latent": 8, "steps": 60}
    method = StReGA(residual=Residue.BOTH, **settings)
    detector = method.fit(Training(space=healthy[0].space, healthy=healthy), run())
    found = detector.score(ill.scan)
    lesion, brain = found.values[ill.lesion].mean(), found.values[ill.scan.brain].mean()
    assert np.array([lesion, brain]) == pytest.approx([0.78376, 0.13630], rel=0.05)
