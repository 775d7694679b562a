"""A phantom cohort: the MNI152 brain, deformed and re-scanned, with and without lesions.

Made for trying the whole chain without patient data. Every subject differs in shape (affine and
smooth deformation), contrast (gamma), bias field, noise (Rician) and the order of the stored axes.
Its variety is that of one average brain, so figures on it say whether the machinery works, not how
good a method is.
"""

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
from scipy.ndimage import map_coordinates
from scipy.spatial.transform import Rotation

from hale.core.grid import Grid
from hale.core.scan import Volume
from hale.core.types import Affine, Mask
from hale.data.lesions import LesionSpec, plant
from hale.io.template import mni152

AXES = ("PSR", "RAS", "LPS", "ASL", "SRA", "PIR")
"""Orders in which scanners store the axes; PSR is that of IXI."""
SPACING_MM = 2.0
FIELD_MM = (184.0, 216.0, 184.0)
"""Field of view to the right, front and top: a head and a shift."""
MIDDLE_MM = np.array([0.0, -17.0, 5.0])
"""Middle of the template's brain; that of a phantom is about the scanner's origin."""
CYCLE = (
    LesionSpec(volume_ml=4.0, contrast_sd=2.0),
    LesionSpec(volume_ml=15.0, contrast_sd=-3.0),
    LesionSpec(volume_ml=0.5, contrast_sd=3.0),
    LesionSpec(volume_ml=4.0, contrast_sd=-1.0),
    LesionSpec(volume_ml=15.0, contrast_sd=1.0),
    LesionSpec(volume_ml=0.5, contrast_sd=-2.0),
)
"""Lesions of the test scans, in turn: every size, every strength."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Phantom:
    """One synthetic exam, brain-extracted, on the axes in which it would be stored."""

    scan: Volume
    """Whole numbers, 1 or more in the brain and exactly 0 outside."""
    brain: Mask


@dataclass(frozen=True, kw_only=True)
class Row:
    """A line of `participants.tsv`."""

    participant_id: str
    age: int
    sex: str
    split: str
    lesion: LesionSpec | None = None


def phantom(seed: int, number: int = 0) -> Phantom:
    """Return the healthy subject ``number`` of the cohort ``seed``: same numbers, same voxels."""
    rng = np.random.default_rng([seed, number])
    grid = native_grid(rng)
    template = mni152()
    at = _template_indices(grid, template.grid, rng)
    x = map_coordinates(template.values, at, order=1, prefilter=False)
    brain = map_coordinates((template.values > 0).astype(np.float32), at, order=1) > 0.5
    x = x ** rng.uniform(0.8, 1.25) * np.exp(0.12 * smooth_field(grid.shape, rng, 2))
    sigma = rng.uniform(0.015, 0.03)
    noise = rng.normal(0, sigma, (2, *grid.shape))
    x = np.hypot(x + noise[0], noise[1])  # Rician: the magnitude of a complex signal
    values = np.where(brain, np.maximum(np.rint(x * rng.uniform(300, 1500)), 1), 0)
    return Phantom(scan=Volume(values=values.astype(np.float32), grid=grid), brain=brain)


def native_grid(rng: np.random.Generator) -> Grid:
    """Return a 2 mm grid about the origin, its axes in one of the orders `AXES`."""
    stored = nib.orientations.axcodes2ornt(AXES[rng.integers(len(AXES))])
    shape = np.array(FIELD_MM) / SPACING_MM
    ras = np.diag([SPACING_MM] * 3 + [1.0])
    ras[:3, 3] = -(shape - 1) / 2 * SPACING_MM + rng.uniform(-3, 3, 3)
    order = nib.orientations.ornt_transform(nib.orientations.axcodes2ornt("RAS"), stored)
    back = nib.orientations.inv_ornt_aff(order, tuple(shape.astype(int)))
    i, j, k = (int(shape[int(axis)]) for axis in stored[:, 0])
    return Grid(shape=(i, j, k), affine=np.asarray(ras @ back, np.float64))


def smooth_field(shape: tuple[int, int, int], rng: np.random.Generator, waves: int) -> np.ndarray:
    """Return a random field of mean 0 and spread 1: cosines, ``waves`` half waves at most."""
    field = rng.normal(size=(waves + 1,) * 3)
    for n in shape:  # each turn sums over the first axis and appends the voxels' one
        basis = np.cos(np.pi * np.outer(np.arange(waves + 1), (np.arange(n) + 0.5) / n))
        field = np.tensordot(field, basis, axes=(0, 0))
    centred: np.ndarray = (field - field.mean()) / field.std()
    return centred


def write_cohort(  # noqa: PLR0913 - one count per split is the clearest
    folder: Path,
    *,
    fit: int = 12,
    standardise: int = 6,
    calibrate: int = 10,
    healthy: int = 3,
    lesions: int = 6,
    seed: int = 0,
) -> None:
    """Write a cohort as a BIDS-like folder; the same arguments write the same bytes.

    Args:
        folder: Made if it is not there. ``sub-001/anat/sub-001_T1w.nii.gz`` (int16), and for test
            scans with a lesion ``sub-001_desc-lesion_mask.nii.gz`` beside it.
        fit: Healthy scans to learn from.
        standardise: Healthy scans for the normative mean and spread.
        calibrate: Healthy scans for p-values.
        healthy: Test scans without a lesion.
        lesions: Test scans with a lesion, 1 to 3 SD strong, as `CYCLE` has them.
        seed: Of the whole cohort.
    """
    splits = {"fit": fit, "standardise": standardise, "calibrate": calibrate, "test": healthy}
    rows = list(_participants(splits, lesions, seed))
    folder.mkdir(parents=True, exist_ok=True)
    for number, row in enumerate(rows):
        _write_subject(folder, row, phantom(seed, number), seed + number)
    lines = ["participant_id\tage\tsex\tsplit\tlesion"]
    lines += [
        f"{r.participant_id}\t{r.age}\t{r.sex}\t{r.split}\t{r.lesion or 'none'}" for r in rows
    ]
    (folder / "participants.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    about = {
        "Name": "hale phantom cohort",
        "BIDSVersion": "1.10.0",
        "DatasetType": "derivative",
        "GeneratedBy": [{"Name": "hale"}],
        "License": "made from the ICBM 152 2009a template: see its licence",
    }
    text = json.dumps(about, indent=2) + "\n"
    (folder / "dataset_description.json").write_text(text, encoding="utf-8")


def _participants(splits: dict[str, int], lesions: int, seed: int) -> Iterator[Row]:
    rng = np.random.default_rng([seed, 2**31])
    kinds: list[tuple[str, LesionSpec | None]] = [
        (split, None) for split, count in splits.items() for _ in range(count)
    ]
    kinds += [("test", CYCLE[number % len(CYCLE)]) for number in range(lesions)]
    for number, (split, lesion) in enumerate(kinds, 1):
        age, sex = int(rng.integers(20, 81)), "FM"[rng.integers(2)]
        yield Row(participant_id=f"sub-{number:03}", age=age, sex=sex, split=split, lesion=lesion)


def _write_subject(folder: Path, row: Row, subject: Phantom, seed: int) -> None:
    anat = folder / row.participant_id / "anat"
    anat.mkdir(parents=True, exist_ok=True)
    values, grid = subject.scan.values, subject.scan.grid
    if row.lesion is not None:
        values, mask = plant(values, subject.brain, grid, row.lesion, seed)
        _write(anat / f"{row.participant_id}_desc-lesion_mask.nii.gz", mask.astype(np.uint8), grid)
    stored = np.rint(values).astype(np.int16)
    _write(anat / f"{row.participant_id}_T1w.nii.gz", stored, grid)


def _write(path: Path, values: np.ndarray, grid: Grid) -> None:
    image = nib.Nifti1Image(values, grid.affine)
    image.set_qform(grid.affine, code=1)
    image.set_sform(grid.affine, code=1)
    image.header.set_xyzt_units("mm")
    path.write_bytes(gzip.compress(image.to_bytes(), 6, mtime=0))


def _template_indices(grid: Grid, template: Grid, rng: np.random.Generator) -> np.ndarray:
    """Return the template index ``(3, i, j, k)`` that each voxel shows."""
    index = np.indices(grid.shape).reshape(3, -1).T
    position = grid.positions(index)
    affine = _small_affine(rng)
    moved = position @ affine[:3, :3].T + affine[:3, 3]
    moved += np.stack([2.0 * smooth_field(grid.shape, rng, 6).ravel() for _ in range(3)], axis=1)
    back = np.linalg.inv(template.affine)
    at: np.ndarray = (moved @ back[:3, :3].T + back[:3, 3]).T.reshape(3, *grid.shape)
    return at


def _small_affine(rng: np.random.Generator) -> Affine:
    """Return scanner mm to template mm: turned up to 8°, moved up to 6 mm, scaled up to 7 %."""
    affine = np.eye(4)
    turn = Rotation.from_euler("xyz", rng.uniform(-8, 8, 3), degrees=True).as_matrix()
    affine[:3, :3] = turn @ np.diag(1 + rng.uniform(-0.07, 0.07, 3))
    affine[:3, 3] = MIDDLE_MM + rng.uniform(-6, 6, 3)
    return affine
