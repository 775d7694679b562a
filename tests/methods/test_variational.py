"""What the variational methods owe beyond the contract: scores, samples, precision."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from hale.core.method import Reconstructs, Seeded, Training
from hale.core.run import Precision
from hale.methods.cevae import CEVAE
from hale.methods.gmvae import GMVAE
from hale.methods.svae import SVAE
from hale.methods.vae import VAE
from hale.train.elbo import Restoration
from hale.train.run import FabricRun
from hale.train.score import Score
from hale.train.variational import Variational

DENSE: dict[str, Any] = {"latent": 8, "width": 4, "lr": 1e-2, "batch": 8, "steps": 60}
TINY = {
    "vae": VAE(**DENSE),
    "cevae": CEVAE(**DENSE, edge=4),
    "gmvae": GMVAE(width=4, lr=1e-2, batch=8, steps=60),
    "svae": SVAE(**{**DENSE, "batch": 2}, length=4),
}


def run(**settings) -> FabricRun:
    return FabricRun(device="cpu", precision=Precision.FULL, **settings)


@pytest.fixture(scope="module", params=TINY)
def detector(request: pytest.FixtureRequest, healthy) -> Variational:
    return TINY[request.param].fit(Training(space=healthy[0].space, healthy=healthy), run())


@pytest.mark.parametrize("method", [VAE(), CEVAE(), GMVAE(), SVAE()])
def test_defaults_are_the_specified_ones(method):
    assert (method.lr, method.steps, method.beta) == (1e-4, 19_200, 1.0)
    assert method.score is Score.L1
    assert method.batch * (method.length if isinstance(method, SVAE) else 1) == 32


def test_scores_are_the_same_twice(detector, ill):
    for how in Score:
        one = replace(detector, how=how, restoration=replace(detector.restoration, steps=3))
        first = one.score(ill.scan).values
        np.testing.assert_array_equal(one.score(ill.scan).values, first)


@pytest.mark.parametrize("how", Score)
def test_every_score_finds_the_lesion(detector, ill, how):
    one = replace(detector, how=how, restoration=Restoration(steps=40, lr=1e-2, tv=0.1))
    found = one.score(ill.scan)
    brain = ill.scan.brain
    assert not found.values[~brain].any()
    assert np.isfinite(found.values).all()
    chance = ill.lesion.sum() / brain.sum()
    reach = {Score.KL_GRADIENT: 1, Score.ELBO_GRADIENT: 1}.get(how, 4)
    assert average_precision_score(ill.lesion[brain], found.values[brain]) > reach * chance


def test_draws_are_samples_and_draw_0_is_the_mean(detector, ill):
    assert isinstance(detector, Reconstructs)
    assert isinstance(detector, Seeded)
    mean, one, again, two = (detector.reconstruct(ill.scan, draw=n) for n in (0, 1, 1, 2))
    np.testing.assert_array_equal(detector.score(ill.scan).pseudo_healthy, mean)
    np.testing.assert_array_equal(one, again)
    assert (one != mean).any()
    assert (one != two).any()
    other = replace(detector, seed=1).reconstruct(ill.scan, draw=1)
    assert (one != other).any()


def test_bfloat16_moves_scores_a_little(detector, ill):
    brain = ill.scan.brain
    for how in (Score.L1, Score.COMBINATION, Score.RESTORATION):
        full = replace(detector, how=how, restoration=replace(detector.restoration, steps=3))
        half = replace(full, precision=Precision.BF16)
        a, b = full.score(ill.scan).values[brain], half.score(ill.scan).values[brain]
        assert np.corrcoef(a, b)[0, 1] > 0.8
        if how is Score.L1:
            assert (a != b).any()


def test_restoration_shows_where_the_descent_ends(detector, ill):
    one = replace(
        detector, how=Score.RESTORATION, restoration=replace(detector.restoration, steps=30)
    )
    found = one.score(ill.scan)
    changed = np.abs(ill.scan.image - found.pseudo_healthy)
    np.testing.assert_allclose(found.values, changed.mean(0) * ill.scan.brain, rtol=1e-5)
    assert found.values.max() > 0.01
    assert (found.pseudo_healthy != detector.reconstruct(ill.scan)).any()


def test_a_network_that_has_learnt_is_left_trainable_and_the_detector_is_not(healthy):
    method = VAE(**{**DENSE, "steps": 2})
    detector = method.fit(Training(space=healthy[0].space, healthy=healthy), run(seed=7))
    assert detector.seed == 7
    assert not any(weight.requires_grad for weight in detector.net.parameters())


@pytest.mark.parametrize(
    ("name", "golden"),
    [
        ("vae", (0.77162, 0.13848)),
        ("cevae", (0.80571, 0.14583)),
        ("gmvae", (0.87035, 0.14579)),
        ("svae", (0.61649, 0.15960)),
    ],
)
def test_two_golden_numbers(name, golden, healthy, ill):
    """Seed 0 on the phantom; a change here is a change of the method."""
    training = Training(space=healthy[0].space, healthy=healthy)
    found = TINY[name].fit(training, run(seed=0)).score(ill.scan)
    lesion, brain = found.values[ill.lesion].mean(), found.values[ill.scan.brain].mean()
    assert np.array([lesion, brain]) == pytest.approx(np.array(golden), rel=0.05)
