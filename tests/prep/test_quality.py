"""A brain is told from what is none, whatever its contrast, its bias and its ventricles."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from hale.core.grid import Grid
from hale.prep.chain import space_of
from hale.prep.measures import resemblance
from hale.prep.settings import Preparation
from hale.prep.template import template_on

GRID = space_of(Preparation()).grid
BOUND = Preparation().min_resemblance


@pytest.fixture(scope="module")
def template() -> np.ndarray:
    return template_on(GRID)


@pytest.fixture(scope="module")
def inside(template) -> np.ndarray:
    return template > 0.05


def like(image: np.ndarray, template: np.ndarray, inside: np.ndarray) -> float:
    return resemblance(image.astype("f4"), template, inside, GRID)


def test_the_template_explains_itself_but_for_the_bins(template, inside):
    assert like(template, template, inside) > 0.95


def test_neither_contrast_nor_a_bias_field_matters(template, inside):
    inverted = np.where(inside, 1.2 - template, 0)
    assert like(inverted, template, inside) > 0.9
    x, y, z = np.meshgrid(*[np.linspace(-1, 1, n) for n in GRID.shape], indexing="ij")
    bias = np.exp(0.8 * x + 0.5 * y * z - 0.6 * z)
    assert like(template * bias, template, inside) > 0.6


def test_nothing_of_this_is_a_brain(template, inside):
    rng = np.random.default_rng(0)
    noise = rng.uniform(0, 1, GRID.shape)
    smooth = gaussian_filter(rng.standard_normal(GRID.shape), 3)
    for image in (noise, smooth, np.where(inside, 1 + 0.1 * noise, 0)):
        assert like(image * inside, template, inside) < BOUND / 2


def test_without_contrast_or_core_there_is_no_answer(template, inside):
    assert np.isnan(like(np.zeros(GRID.shape), template, inside))
    thin = np.zeros(GRID.shape, bool)
    thin[:, :, 40:43] = True
    assert np.isnan(
        resemblance(template, template, thin, Grid(shape=GRID.shape, affine=GRID.affine))
    )
