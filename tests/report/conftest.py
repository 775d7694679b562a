"""Small detections, built by hand: a ball for a brain, a bright block for a lesion."""

from dataclasses import replace

import numpy as np
import pytest

from hale.core.detection import Detection, Lesion, Validity
from hale.core.grid import Grid
from hale.core.scan import Contrast, Volume

LESION = (slice(26, 31), slice(20, 25), slice(14, 18))
"""In the patient's right half: i is large."""


@pytest.fixture(scope="session")
def thick() -> Detection:
    """Return a detection in 19 thick slices."""
    return make_detection(shape=(40, 48, 19), spacing=(1.0, 1.0, 6.0))


def make_detection(shape=(40, 48, 32), spacing=(2.0, 2.0, 2.0)) -> Detection:
    """Return a calibrated detection with one component."""
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = -np.array(shape) * spacing / 2
    grid = Grid(shape=shape, affine=affine)
    offsets = np.indices(shape) - (np.array(shape).reshape(3, 1, 1, 1) - 1) / 2
    radius = np.array(shape).reshape(3, 1, 1, 1) * 0.4
    brain = ((offsets / radius) ** 2).sum(0) < 1
    rng = np.random.default_rng(0)
    image = (brain * (100 + rng.normal(0, 3, shape))).astype(np.float32)
    anomaly = (brain * rng.uniform(0, 2, shape)).astype(np.float32)
    block = tuple(slice(0, 1) if n == 1 else s for n, s in zip(shape, LESION, strict=True))
    mask = np.zeros(shape, np.int32)
    mask[block] = 1
    anomaly[block] = 6.0
    centre = grid.positions(np.array([[(s.start + s.stop - 1) / 2 for s in block]]))[0]
    x, y, z = (float(value) for value in centre)
    volume = float((mask > 0).sum() * grid.voxel_ml)
    lesion = Lesion(
        label=1,
        volume_ml=volume,
        centre_mm=(x, y, z),
        centre_mni_mm=(x + 1, y, z),
        peak=6.0,
        peak_mm=(x, y, z),
        mass=3 * volume,
        p=1 / 22,
    )
    return Detection(
        id="sub-01",
        contrasts={Contrast.FLAIR: Volume(values=image, grid=grid)},
        brain=brain,
        anomaly=anomaly,
        pvalue=np.where(brain, 0.5, 1).astype(np.float32),
        mask=mask,
        pseudo_healthy=image.copy(),
        lesions=(lesion,),
        score=4.0,
        flagged=True,
        validity=Validity(holds=True),
        checks={"brain_ml": 321.0, "overlap_dice": 0.95, "shift_mm": 1.5, "odd": float("nan")},
        template={"scan": image[None], "template": image},
        notes=("The orientation was LPS; it was reoriented.",),
        seconds={"read": 0.5, "score": 1.25},
        calibration={
            "alpha": 0.1,
            "z0": 3.0,
            "n_scans": 21,
            "n_voxels": 1234567,
            "rate_interval": (0.0118, 0.2382),
            "smallest_alpha": 1 / 22,
        },
        provenance={
            "method": "ae",
            "reference": "Baur et al. 2021, https://doi.org/10.1016/j.media.2020.101952",
            "recipe": {
                "seed": 7,
                "prep": {"mode": "full", "bias": True, "spacing_mm": 2.0, "normalise": "robust_z"},
                "post": {"erode": 1, "smooth_mm": 3.0, "median": 5},
            },
            "model": "ae-default",
            "model_sha256": "ab" * 32,
            "versions": {"numpy": "2.0"},
            "input_files": ("scan.nii.gz",),
            "input_sha256": ("cd" * 32,),
            "station": "ward 3",
        },
    )


@pytest.fixture(scope="session")
def found() -> Detection:
    """Return a calibrated, flagged detection."""
    return make_detection()


@pytest.fixture(scope="session")
def nothing(found) -> Detection:
    """Return a calibrated detection that is not flagged."""
    return replace(found, flagged=False, lesions=(), mask=np.zeros_like(found.mask))


@pytest.fixture(scope="session")
def uncalibrated(found) -> Detection:
    """Return what a method without a calibration gives."""
    return replace(
        found,
        pvalue=None,
        mask=None,
        lesions=(),
        flagged=None,
        validity=None,
        calibration=None,
        pseudo_healthy=None,
        template={},
    )


@pytest.fixture(scope="session")
def one_slice() -> Detection:
    """Return a detection in a single thick slice."""
    return make_detection(shape=(40, 48, 1), spacing=(2.0, 2.0, 6.0))
