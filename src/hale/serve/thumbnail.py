"""A small picture of a result for the cohort table: the slice through its highest place."""

from collections.abc import Mapping
from pathlib import Path
from tempfile import NamedTemporaryFile

import numpy as np
from PIL import Image

from hale.report.canvas import CONTOUR, grey, heat, outline
from hale.report.view import frame_of, grey_window
from hale.serve.files import write_bytes
from hale.serve.reading import turned, turned_spacing
from hale.serve.results import MAPS, Found

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
    begin, end = _scale(found, anomaly, brain)
    k = int((anomaly - begin).clip(0).sum((0, 1), dtype=np.float64).argmax())
    plane = np.asarray(brain if brain.any() else ~brain).max(2, keepdims=True)
    spacing = turned_spacing(found.folder / MAPS["anomaly"])
    frame = frame_of(spacing, plane, cell=CELL, margin_mm=3.0)
    under = turned(next(iter(scans.values()))) if scans else brain.astype(np.float32)
    if under.shape != anomaly.shape:
        under = brain.astype(np.float32)
    picture = grey(frame.cut(under, 2, k), grey_window(under, brain))
    picture = heat(picture, frame.cut(anomaly, 2, k), (begin, end), 0.6)
    mask = found.folder / MAPS["mask"]
    if mask.is_file():
        lesions = turned(mask) > 0
        picture = outline(picture, frame.cut_mask(lesions, 2, k), CONTOUR)
    return picture


def _scale(found: Found, anomaly: np.ndarray, brain: np.ndarray) -> tuple[float, float]:
    inside = anomaly[brain] if brain.any() else anomaly
    top = float(np.percentile(inside, 99.95))
    told = found.detection.get("calibration")
    begin = float(told.get("z0", BEGIN)) if told else max(1e-6, float(np.percentile(inside, 95)))
    return begin, max(begin + 3 if told else begin * 1.01, top)
