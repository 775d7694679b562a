"""What every method owes. Parametrised over the registry: a new line there is tested here."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, fields, is_dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load, save
from sklearn.metrics import average_precision_score

from hale.core.errors import Refused
from hale.core.grid import Grid
from hale.core.method import (
    BuildsOn,
    Detector,
    Method,
    Placed,
    Reconstructs,
    State,
    Supervision,
    Training,
)
from hale.core.run import Precision
from hale.core.scan import Case, Contrast, Scan, Space
from hale.methods import METHODS, describe
from hale.pipeline.base import restored
from hale.recipe import Recipe, build_recipe
from hale.train.per_scan import restoration
from hale.train.run import FabricRun

TINY: dict[str, dict[str, Any]] = {
    "ae": {"latent": 8, "width": 4, "lr": 1e-2, "batch": 8, "steps": 60, "validate_every": 20},
    "cddpm": {
        "width": 8,
        "multipliers": [1, 2],
        "blocks": 1,
        "condition": 8,
        "encoder_width": 4,
        "encoder_blocks": [1, 1, 1, 1],
        "lr": 1e-2,
        "batch": 8,
        "steps": 60,
    },
    "cevae": {"latent": 8, "width": 4, "lr": 1e-2, "batch": 8, "steps": 60, "edge": 4},
    "anogan_scan": {
        "size": 64,
        "slabs": 2,
        "gap_mm": 2.0,
        "batch": 4,
        "epoch_slices": 8,
        "lr": 1e-3,
        "epochs": 10,
        "search_steps": 20,
        "search_lr": 0.1,
        "restarts": 1,
    },
    "convae_scan": {
        "size": 64,
        "slabs": 2,
        "gap_mm": 2.0,
        "batch": 4,
        "epoch_slices": 8,
        "lr": 3e-3,
        "epochs": 10,
    },
    "dae": {"width": 4, "lr": 1e-2, "batch": 8, "steps": 60},
    "ddpm": {
        "width": 8,
        "multipliers": [1, 2],
        "blocks": 1,
        "lr": 1e-2,
        "batch": 8,
        "steps": 60,
    },
    "fanogan": {"latent": 8, "width": 4, "lr": 1e-2, "batch": 8, "steps": 140},
    "ifl": {
        "code": 8,
        "width": 48,
        "frequencies": 4,
        "dropout": 0.0,
        "lr": 1e-2,
        "epochs": 60,
        "halve_every": 20,
        "volumes": 2,
        "points": 512,
        "fit_iterations": [20],
        "fit_points": [512],
        "fixed_points": 512,
        "mean_mm": 2.0,
        "minimum_mm": 2.0,
    },
    "gmvae": {"width": 4, "lr": 1e-2, "batch": 8, "steps": 60},
    "pddpm": {
        "width": 8,
        "multipliers": [1, 2],
        "blocks": 1,
        "patch": 8,
        "lr": 1e-2,
        "batch": 8,
        "steps": 60,
    },
    "sadm": {"width": 4, "lr": 1e-2, "batch": 8, "steps": 30},
    "sadm_cases": {"width": 4, "lr": 1e-2, "batch": 8, "steps": 30},
    "skipae": {"width": 4, "lr": 1e-2, "batch": 8, "steps": 60},
    "strega": {
        "size": 16,
        "maps": [8, 16],
        "latent": 8,
        "lr": 1e-2,
        "batch": 8,
        "steps": 60,
        "residual": "abs",
        "validate_every": 20,
    },
    "svae": {"latent": 8, "width": 4, "lr": 1e-2, "batch": 2, "length": 4, "steps": 60},
    "vae": {"latent": 8, "width": 4, "lr": 1e-2, "batch": 8, "steps": 60},
}
"""Hyper-parameters that make a method fit in a second; {} for one that does anyway."""

THERE = [name for name, place in METHODS.items() if find_spec(place.partition(":")[0])]


@dataclass
class Fitted:
    name: str
    method: Method
    detector: Detector

    def restore(self, state: State, space: Space) -> Detector:
        """Rebuild the detector as a model folder does."""
        base = {"recipe": recipe_of(BASE_METHOD, steps=20).resolved()}
        return restored(recipe_of(self.name), state, space, base)


BASE_METHOD = "ddpm"
"""What methods that build on another model are given."""
BASES: dict[int, Detector] = {}
"""Fitted once for each number of contrasts."""


def recipe_of(name: str, **changes: Any) -> Recipe:
    return build_recipe({"method": {"name": name, **TINY.get(name, {}), **changes}})


def build(name: str, **changes: Any) -> Method:
    return recipe_of(name, **changes).method


def base_for(method: Method, healthy: Sequence[Scan]) -> Detector | None:
    contrasts = len(healthy[0].image)
    if isinstance(method, BuildsOn) and contrasts not in BASES:
        BASES[contrasts] = fit(build(BASE_METHOD, steps=20), healthy, (), ())
    return BASES[contrasts] if isinstance(method, BuildsOn) else None


def fit(method: Method, healthy: Sequence[Scan], held_out: Sequence[Scan], labelled) -> Detector:
    """Fit on no more than the supervision grants."""
    grants = method.supervision
    seen = grants is not Supervision.NONE
    training = Training(
        space=healthy[0].space,
        healthy=healthy if seen else (),
        held_out=held_out if seen else (),
        cases=labelled if grants is Supervision.LESION_MASKS else (),
        base=base_for(method, healthy),
    )
    return method.fit(training, FabricRun(device="cpu", precision=Precision.FULL))


@pytest.fixture(scope="module", params=THERE)
def fitted(request: pytest.FixtureRequest, healthy, held_out, labelled) -> Fitted:
    method = build(request.param)
    return Fitted(request.param, method, fit(method, healthy, held_out, labelled))


def test_obeys_the_protocols(fitted: Fitted):
    assert isinstance(fitted.method, Method)
    assert isinstance(fitted.detector, Detector)


def test_is_a_frozen_dataclass_that_says_what_it_sees(fitted: Fitted):
    assert is_dataclass(fitted.method)
    assert type(fitted.method).__dataclass_params__.frozen
    assert isinstance(fitted.method.supervision, Supervision)


def test_says_what_it_is_and_where_it_comes_from(fitted: Fitted):
    assert type(fitted.method).__doc__
    page = sys.modules[type(fitted.method).__module__].__doc__ or ""
    assert any(mark in page for mark in ("http", "doi", "DOI", "arXiv"))
    assert describe(fitted.name)["reference"]


def test_default_hyper_parameters_are_a_recipe(fitted: Fitted):
    default = build_recipe({"method": {"name": fitted.name}})
    assert default.resolved()["method"]["name"] == fitted.name


def test_an_unknown_hyper_parameter_is_refused(fitted: Fitted):
    with pytest.raises(Refused, match="colour"):
        build(fitted.name, colour="blue")


def test_a_hyper_parameter_of_the_wrong_type_is_refused(fitted: Fitted):
    for field in fields(fitted.method):
        with pytest.raises(Refused, match=field.name):
            build(fitted.name, **{field.name: {"no": "number"}})


def test_map_has_the_grid_and_the_brain_of_the_scan(fitted: Fitted, ill: Case):
    found = fitted.detector.score(ill.scan)
    assert found.values.shape == ill.scan.brain.shape
    assert found.values.dtype == np.float32
    np.testing.assert_array_equal(found.brain, ill.scan.brain)


def test_is_zero_outside_the_brain(fitted: Fitted, ill: Case):
    assert not fitted.detector.score(ill.scan).values[~ill.scan.brain].any()


def test_is_never_negative_and_always_finite(fitted: Fitted, ill: Case):
    values = fitted.detector.score(ill.scan).values
    assert np.isfinite(values).all()
    assert values.min() >= 0


def test_is_not_the_same_everywhere(fitted: Fitted, ill: Case):
    assert np.ptp(fitted.detector.score(ill.scan).values[ill.scan.brain]) > 0


def test_same_scan_same_map_alone_and_after_others(fitted: Fitted, ill: Case, healthy):
    first = fitted.detector.score(ill.scan).values.copy()
    fitted.detector.score(healthy[0])
    np.testing.assert_array_equal(fitted.detector.score(ill.scan).values, first)


def test_leaves_the_scan_alone(fitted: Fitted, ill: Case):
    image, brain = ill.scan.image.copy(), ill.scan.brain.copy()
    restoration.cache_clear()
    fitted.detector.score(ill.scan)
    np.testing.assert_array_equal(ill.scan.image, image)
    np.testing.assert_array_equal(ill.scan.brain, brain)


def test_does_not_look_at_the_name(fitted: Fitted, ill: Case):
    scan = ill.scan
    renamed = Scan(id="other", space=scan.space, image=scan.image, brain=scan.brain)
    np.testing.assert_array_equal(
        fitted.detector.score(renamed).values, fitted.detector.score(scan).values
    )


def test_finds_a_lesion_better_than_chance(fitted: Fitted, ill: Case):
    values = fitted.detector.score(ill.scan).values
    chance = ill.lesion.sum() / ill.scan.brain.sum()
    brain = ill.scan.brain
    assert average_precision_score(ill.lesion[brain], values[brain]) > 5 * chance


def test_fits_the_same_twice(fitted: Fitted, ill: Case, healthy, held_out, labelled):
    again = fit(fitted.method, healthy, held_out, labelled)
    same_states(again.state(), fitted.detector.state())
    same_maps(again, fitted.detector, ill.scan)


def test_survives_its_state(fitted: Fitted, ill: Case):
    data = save({name: np.asarray(array) for name, array in fitted.detector.state().items()})
    again = fitted.restore(load(data), ill.scan.space)
    same_maps(again, fitted.detector, ill.scan)


def test_state_is_plain_arrays(fitted: Fitted):
    for array in fitted.detector.state().values():
        assert isinstance(array, np.ndarray)
        assert array.dtype == np.float32
        assert np.isfinite(array).all()


def test_a_state_that_is_not_its_own_is_refused(fitted: Fitted, ill: Case):
    state = dict(fitted.detector.state())
    with pytest.raises(Refused, match="stranger"):
        fitted.restore({**state, "stranger": np.zeros(1, np.float32)}, ill.scan.space)
    for name in list(state)[:1]:
        without = {key: array for key, array in state.items() if key != name}
        with pytest.raises(Refused, match="is missing"):
            fitted.restore(without, ill.scan.space)
        misshapen = {**state, name: np.zeros((3, 1, 4, 1, 5), np.float32)}
        with pytest.raises(Refused, match=r"is \(3, 1, 4, 1, 5\)"):
            fitted.restore(misshapen, ill.scan.space)


@pytest.mark.parametrize("name", THERE)
def test_takes_several_contrasts_on_a_grid_of_any_size(name):
    """Neither a multiple of 8 nor square, as a slice of 157 x 189 is not."""
    scans = [odd_scan(seed) for seed in range(3)]
    brief = {key: value for key, value in {"steps": 2}.items() if key in TINY.get(name, {})}
    cases = [Case(scan=scan, lesion=scan.brain & (scan.image[0] > 0.9)) for scan in scans]
    detector = fit(build(name, **brief), scans[:2], scans[2:], cases)
    found = detector.score(scans[2])
    assert found.values.shape == scans[2].brain.shape
    if found.pseudo_healthy is not None:
        assert found.pseudo_healthy.shape == scans[2].image.shape


def test_pseudo_healthy_is_an_image_of_the_scan(fitted: Fitted, ill: Case):
    shown = fitted.detector.score(ill.scan).pseudo_healthy
    assert (shown is not None) == isinstance(fitted.detector, Reconstructs)
    if not isinstance(fitted.detector, Reconstructs):
        return
    image = fitted.detector.reconstruct(ill.scan)
    assert image.shape == ill.scan.image.shape
    np.testing.assert_array_equal(shown, image)


def test_runs_where_it_was_fitted_and_is_restored_in_full_precision(fitted: Fitted, ill: Case):
    if not isinstance(fitted.detector, Placed):
        assert "precision" not in {field.name for field in fields(fitted.detector)}
        return
    assert (fitted.detector.device, fitted.detector.precision) == ("cpu", Precision.FULL)
    again = fitted.restore(fitted.detector.state(), ill.scan.space)
    assert isinstance(again, Placed)
    assert (again.device, again.precision) == ("cpu", Precision.FULL)


def odd_scan(seed: int) -> Scan:
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    affine[:3, 3] = (-18, -21, -5)
    grid = Grid(shape=(19, 22, 6), affine=affine)
    space = Space(slots=((Contrast.T1W,), (Contrast.FLAIR,)), grid=grid)
    brain = np.zeros(grid.shape, bool)
    brain[3:16, 4:19, 1:5] = True
    image = np.random.default_rng(seed).random((2, *grid.shape), np.float32) * brain
    return Scan(id=f"odd-{seed}", space=space, image=image, brain=brain)


def same_maps(a: Detector, b: Detector, scan: Scan) -> None:
    first = a.score(scan).values
    restoration.cache_clear()  # equal single-scan detectors would share it
    np.testing.assert_array_equal(first, b.score(scan).values)


def same_states(a, b) -> None:
    assert a.keys() == b.keys()
    for name in a:
        np.testing.assert_array_equal(a[name], b[name])
