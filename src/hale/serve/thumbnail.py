"""A small picture of a result for the cohort table: the slice through its highest place."""

from collections.abc import Mapping
from pathlib import Path
from tempfile import NamedTemporaryFile
from threading import Lock

import numpy as np
from PIL import Image

from hale.report.canvas import CONTOUR, grey, heat, outline
from hale.report.view import frame_of, grey_window
from hale.serve.files import write_bytes
from hale.serve.reading import turned, turned_slice, turned_spacing
from hale.serve.results import MAPS, Found

CELL = (132, 108)
"""Rows and columns, about."""
ONE_AT_A_TIME = Lock()
"""A picture takes the memory of a volume, and a table asks for all of them at once."""
BEGIN = 3.0
"""Score at which colours begin, of a calibrated map."""


def thumbnail(found: Found, scans: Mapping[str, Path], folder: Path) -> Path:
    """Return the picture, drawn the first time; without the scan, the map alone."""
    changed = (found.folder / MAPS["anomaly"]).stat().st_mtime_ns
    path = folder / f"{found.id}-{changed}-{len(scans)}.png"
    with ONE_AT_A_TIME:
        if not path.is_file():
            _write(found, scans, path)
    return path


def _write(found: Found, scans: Mapping[str, Path], path: Path) -> None:
    with NamedTemporaryFile(suffix=".png") as file:
        Image.fromarray(_drawn(found, scans)).save(file.name, format="PNG")
        write_bytes(path, Path(file.name).read_bytes())


def _drawn(found: Found, scans: Mapping[str, Path]) -> np.ndarray:
    anomaly = turned(found.folder / MAPS["anomaly"])
    begin, end = _scale(found, anomaly)
    k = int((anomaly > begin).sum((0, 1)).argmax())
    brain = turned_slice(found.folder / MAPS["brain"], k) > 0
    under = turned_slice(next(iter(scans.values())), k) if scans else brain.astype(np.float32)
    if under.shape != brain.shape:
        under = brain.astype(np.float32)
    frame = frame_of(turned_spacing(found.folder / MAPS["anomaly"]), brain, cell=CELL)
    picture = grey(frame.cut(under, 2, 0), grey_window(under, brain))
    picture = heat(picture, frame.cut(anomaly[:, :, k : k + 1], 2, 0), (begin, end), 0.6)
    mask = found.folder / MAPS["mask"]
    if mask.is_file():
        picture = outline(picture, frame.cut_mask(turned_slice(mask, k) > 0, 2, 0), CONTOUR)
    return picture


def _scale(found: Found, anomaly: np.ndarray) -> tuple[float, float]:
    """Return where colours begin and end, by a part of the voxels."""
    part = anomaly[::2, ::2, ::2]
    inside = part[part != 0]
    most, top = np.percentile(inside, [95, 99.95]) if inside.size else (0.0, 1.0)
    told = found.detection.get("calibration")
    begin = float(told.get("z0", BEGIN)) if told else max(1e-6, float(most))
    return begin, max(begin + 3 if told else begin * 1.01, float(top))
