"""A small picture of a result for the cohort table: the slice through its highest place."""

from collections.abc import Mapping
from pathlib import Path
from tempfile import NamedTemporaryFile

import numpy as np
from PIL import Image

from hale.report.canvas import CONTOUR, grey, heat, outline
from hale.report.view import frame_of, grey_window
from hale.serve.files import write_bytes
from hale.serve.reading import turned
from hale.serve.results import MAPS, Found
from hale.serve.volumes import grid_of

CELL = (132, 108)
"""Rows and columns, about."""
BEGIN = 3.0
"""Score at which colours begin, of a calibrated map."""


def thumbnail(found: Found, scans: Mapping[str, Path], folder: Path) -> Path:
    """Return the picture, drawn the first time; without the scan, the map alone."""
    changed = (found.folder / MAPS["anomaly"]).stat().st_mtime_ns
    path = folder / f"{found.id}-{changed}-{len(scans)}.png"
    if not path.is_file():
        with NamedTemporaryFile(suffix=".png") as file:
            Image.fromarray(_drawn(found, scans)).save(file.name, format="PNG")
            write_bytes(path, Path(file.name).read_bytes())
    return path


def _drawn(found: Found, scans: Mapping[str, Path]) -> np.ndarray:
    anomaly = np.nan_to_num(turned(found.folder / MAPS["anomaly"]), copy=False)
    brain = turned(found.folder / MAPS["brain"]) > 0
    k = int(np.unravel_index(int(anomaly.argmax()), anomaly.shape)[2])
    spacing = grid_of(found.folder / MAPS["anomaly"]).spacing
    plane = brain[:, :, k : k + 1] if brain[:, :, k].any() else np.ones((*brain.shape[:2], 1), bool)
    frame = frame_of(_turned_spacing(found, spacing), plane, cell=CELL, margin_mm=3.0)
    under = turned(next(iter(scans.values()))) if scans else None
    usable = under is not None and under.shape == anomaly.shape
    shown = under if under is not None and usable else brain.astype(np.float32)
    picture = grey(frame.cut(shown[:, :, k : k + 1], 2, 0), grey_window(shown, brain))
    picture = heat(
        picture, frame.cut(anomaly[:, :, k : k + 1], 2, 0), _scale(found, anomaly, brain), 0.6
    )
    mask = found.folder / MAPS["mask"]
    if mask.is_file():
        lesions = turned(mask)[:, :, k : k + 1] > 0
        picture = outline(picture, frame.cut_mask(lesions, 2, 0), CONTOUR)
    return picture


def _turned_spacing(found: Found, spacing: tuple[float, float, float]) -> tuple[float, ...]:
    """Return mm per voxel in the order of RAS+."""
    affine = grid_of(found.folder / MAPS["anomaly"]).affine[:3, :3]
    axes = np.abs(affine / np.array(spacing)).argmax(0)
    turned_to = np.empty(3)
    turned_to[axes] = spacing
    return tuple(turned_to.tolist())


def _scale(found: Found, anomaly: np.ndarray, brain: np.ndarray) -> tuple[float, float]:
    inside = anomaly[brain] if brain.any() else anomaly
    top = float(np.percentile(inside, 99.95))
    told = found.detection.get("calibration")
    begin = float(told.get("z0", BEGIN)) if told else max(1e-6, float(np.percentile(inside, 95)))
    return begin, max(begin + 3 if told else begin * 1.01, top)
