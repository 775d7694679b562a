"""A scan has the same map each time it is scored; only another seed of the recipe changes it."""

import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from hale.core.grid import Grid
from hale.core.method import Training
from hale.core.run import Precision
from hale.core.scan import Contrast, Scan, Space
from hale.core.types import Map
from hale.pipeline.model import Model, load_model, save_model, score
from hale.recipe import bundled, read_recipe
from hale.train.run import FabricRun

GRID = Grid(shape=(24, 24, 6), affine=np.diag([2.0, 2.0, 2.0, 1.0]))
SPACE = Space(slots=((Contrast.T1W,),), grid=GRID)
TINY = ("method.width=8", "method.batch=4", "method.steps=4", "method.lr=1e-2")
UNET = ("method.multipliers=[1, 2]", "method.blocks=1")
DRAWING = {
    "ddpm-default": UNET,
    "ddpm-released": (*UNET, "method.checkpointing=false"),
    "vae-mhd-released": ("method.latent=4", "method.validate_every=2"),
}
"""Recipes of methods that draw, and what makes them small."""


def scan(number: int) -> Scan:
    rng = np.random.default_rng(number)
    brain = ((np.indices(GRID.shape[:2]) - 11.5) ** 2).sum(0)[..., None] < np.full(6, 100)
    image = rng.random((1, *GRID.shape), np.float32) * brain
    return Scan(id=f"{number}", space=SPACE, image=image, brain=brain)


@pytest.fixture(scope="module", params=DRAWING)
def model(request) -> Model:
    recipe = read_recipe(bundled()[request.param], [*TINY, *DRAWING[request.param]])
    run = FabricRun(device="cpu", precision=Precision.FULL, seed=recipe.seed)
    healthy = [scan(number) for number in range(3)]
    detector = recipe.method.fit(Training(space=SPACE, healthy=healthy, held_out=[scan(3)]), run)
    return Model(recipe=recipe, space=SPACE, detector=detector, calibration=None, provenance={})


def scored_anew(model: Model, folder: Path, *, globals_at: int) -> Map:
    """Return the map as a later process makes it, whose global generators are elsewhere."""
    save_model(model, folder)
    torch.manual_seed(globals_at)
    random.seed(globals_at)  # numpy's global generator is forbidden by the linter
    return score(load_model(folder), scan(9)).values


# Check 16 of the shared protocol. The public code draws from the global generator, so that its
# results change between runs; here `released` draws from the recipe's seed as well.
def test_same_seed_same_map_whatever_the_global_generators_do(model, tmp_path):
    first = scored_anew(model, tmp_path / "one", globals_at=0)
    assert first.any()
    assert np.array_equal(first, scored_anew(model, tmp_path / "two", globals_at=1))
    score(model, scan(8))  # nor does it matter what was scored before
    assert np.array_equal(first, score(model, scan(9)).values)


def test_another_seed_of_the_recipe_is_another_map(model, tmp_path):
    other = replace(model, recipe=replace(model.recipe, seed=model.recipe.seed + 1))
    first = scored_anew(model, tmp_path / "one", globals_at=0)
    second = scored_anew(other, tmp_path / "two", globals_at=0)
    assert not np.array_equal(first, second)
