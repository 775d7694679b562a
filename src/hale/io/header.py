"""What a header must say before its voxels are believed."""

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from hale.core.errors import Refused
from hale.core.types import Affine

MAX_VOXELS = 1024**3
MAX_SPACING_MM = 20.0
MIN_SPACING_MM = 0.05
MAX_EXTENT_MM = 1000.0


def checked_type(path: Path, image: Any) -> None:
    """Refuse voxels that are not one real number each."""
    kind = np.dtype(image.get_data_dtype())
    if kind.fields is not None:
        raise Refused(str(path), "is a colour image (RGB)", "give the grey-value scan")
    if kind.kind == "c":
        raise Refused(str(path), "holds complex numbers", "give the magnitude image")
    if kind.kind not in "iuf":
        raise Refused(str(path), f"holds {kind}, not grey values", "export the scan again")


def checked_shape(path: Path, image: Any) -> tuple[tuple[int, int, int], list[str]]:
    """Return the 3-D shape and what was repaired; refuse series, pictures and absurd sizes."""
    shape = tuple(int(n) for n in image.shape)
    if min(shape, default=0) < 1:
        raise Refused(str(path), f"its shape is {shape}", "export the scan again")
    if np.prod(shape, dtype=float) > MAX_VOXELS:
        why = f"its header claims {' x '.join(map(str, shape))} voxels, more than any brain scan"
        raise Refused(str(path), why, "check the header, or resample it first")
    if len(shape) == 2:
        remedy = "a slice needs a one-slice model: store it as i x j x 1"
        raise Refused(str(path), f"is a 2-D picture of {shape}", remedy)
    if len(shape) > 3 and np.prod(shape[3:]) > 1:
        why = f"is a 4-D series of {int(np.prod(shape[3:]))} volumes"
        raise Refused(str(path), why, "give one volume of it")
    notes = ["4-D file with a single volume: taken as 3-D"] if len(shape) > 3 else []
    return (shape[0], shape[1], shape[2]), notes


def checked_affine(path: Path, image: Any, shape: tuple[int, int, int]) -> tuple[Affine, list[str]]:
    """Return voxel -> mm and doubts about it; refuse one that cannot be true."""
    if not isinstance(image, nib.Nifti1Pair):  # MGH, Analyze
        affine = np.asarray(image.affine, np.float64)
        _refuse_degenerate(path, affine)
        _refuse_wide(path, affine, shape)
        side = isinstance(image, nib.AnalyzeImage)
        return affine, ["Analyze header: left and right are a convention"] if side else []
    sform, sform_code = image.header.get_sform(coded=True)
    sform = sform if sform_code else None
    qform = _qform(path, image) if image.header["qform_code"] else None
    affine = np.asarray(image.affine, np.float64)
    _refuse_degenerate(path, affine)
    _refuse_wide(path, affine, shape)
    if sform is not None and qform is not None:
        same = image.header["sform_code"] == image.header["qform_code"]
        _refuse_contradiction(path, sform, qform, shape, allowed_mm=0.0 if same else 30.0)
    _refuse_wrong_spacing(path, affine, np.asarray(image.header["pixdim"][1:4], float))
    if sform is None and qform is None:
        return affine, ["sform and qform code are 0: orientation assumed, side unknown"]
    return affine, []


def _qform(path: Path, image: Any) -> Affine:
    try:
        return np.asarray(image.header.get_qform(), np.float64)
    except (nib.spatialimages.HeaderDataError, ValueError) as error:
        why = f"its qform is no rotation ({error})"
        raise Refused(str(path), why, "correct the header") from None


def _refuse_degenerate(path: Path, affine: Affine) -> None:
    """Refuse an affine that puts voxels nowhere, on top of each other, or absurdly far apart."""
    linear = affine[:3, :3]
    if not np.isfinite(affine).all():
        raise Refused(str(path), "its affine holds NaN or infinity", "correct the header")
    if not linear.any():
        raise Refused(str(path), "its affine is zero", "correct the header")
    spacing = np.linalg.norm(linear, axis=0)
    if spacing.min() == 0 or abs(np.linalg.det(linear / spacing)) < 0.1:
        raise Refused(str(path), "its affine is singular", "correct the header")
    if spacing.max() > MAX_SPACING_MM or spacing.min() < MIN_SPACING_MM:
        why = f"its voxels are {' x '.join(f'{s:.3g}' for s in spacing)} mm"
        raise Refused(str(path), why, "correct the header (units are mm)")


def _refuse_wide(path: Path, affine: Affine, shape: tuple[int, ...]) -> None:
    """Refuse a block of voxels wider than any scanner."""
    extent = np.linalg.norm(affine[:3, :3], axis=0) * shape
    if extent.max() > MAX_EXTENT_MM:
        why = f"its field of view is {extent.max():.0f} mm wide"
        raise Refused(str(path), why, "correct the header (units are mm)")


def _refuse_contradiction(
    path: Path, sform: Affine, qform: Affine, shape: tuple[int, ...], *, allowed_mm: float
) -> None:
    """Refuse two coded affines that put the voxels in different places.

    Differing codes name two spaces (scanner and a template), which may lie up to ``allowed_mm``
    apart while the axes still point the same ways. Within 1 voxel everything is rounding.
    """
    corners = np.array(np.meshgrid(*[[0, n - 1] for n in shape])).reshape(3, -1)
    apart = (sform - qform)[:3] @ np.vstack([corners, np.ones(8)])
    distance = float(np.linalg.norm(apart, axis=0).max())
    turned = nib.aff2axcodes(sform) != nib.aff2axcodes(qform)
    spacing = np.linalg.norm(sform[:3, :3], axis=0)
    if distance > max(1.0, float(spacing.max())) and (turned or distance > allowed_mm):
        why = f"sform and qform contradict each other by up to {distance:.0f} mm"
        raise Refused(str(path), why, "remove the wrong one (set its code to 0)")


def _refuse_wrong_spacing(path: Path, affine: Affine, pixdim: np.ndarray) -> None:
    """Refuse voxel sizes that differ between `pixdim` and the affine by more than 2 %."""
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    if np.abs(spacing - np.abs(pixdim)).max() > 0.02 * spacing.max():
        said, drawn = (" x ".join(f"{s:.3g}" for s in np.abs(v)) for v in (pixdim, spacing))
        why = f"pixdim says {said} mm, the affine {drawn} mm"
        raise Refused(str(path), why, "correct the header")
