"""A result in a notebook: the scan, the map and the lesions in ipyniivue, an optional package."""

import gzip
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from hale.core.detection import Detection
from hale.core.errors import Refused
from hale.core.grid import Grid
from hale.pipeline.write import RESULT
from hale.report.view import first_volume, heat_scale
from hale.serve.files import read_table
from hale.serve.results import MAPS, SCAN
from hale.serve.volumes import read_map

HEIGHT = 520
"""Pixels."""
OPACITY = 0.6


@dataclass(frozen=True, kw_only=True)
class Layer:
    """A volume, and how it is shown."""

    name: str
    data: bytes
    """NIfTI, compressed."""
    colormap: str
    opacity: float = 1.0
    window: tuple[float, float] | None = None
    """Value at which colours begin, and end; None: as the viewer likes."""

    def options(self) -> dict[str, Any]:
        """Return what ipyniivue calls it."""
        low, high = self.window or (None, None)
        return {
            "name": self.name,
            "data": self.data,
            "colormap": self.colormap,
            "opacity": self.opacity,
            "cal_min": low,
            "cal_max": high,
        }


def widget(layers: list[Layer]) -> Any:
    """Return a viewer of layers, the first one below.

    Raises:
        Refused: ipyniivue is not installed.
    """
    try:
        from ipyniivue import NiiVue, Volume
    except ImportError:
        why = "ipyniivue is not installed"
        raise Refused("hale.view", why, "pip install 'hale[notebook]'") from None
    viewer = NiiVue(height=HEIGHT)
    viewer.load_volumes([Volume(**layer.options()) for layer in layers])
    return viewer


def layers_of(detection: Detection) -> list[Layer]:
    """Return the layers of a detection."""
    scan = first_volume(detection)
    layers = [Layer(name="scan.nii.gz", data=_packed(scan.values, scan.grid), colormap="gray")]
    if detection.pseudo_healthy is not None:
        data = _packed(detection.pseudo_healthy, scan.grid)
        layers.append(_hidden("pseudo_healthy.nii.gz", data))
    data = _packed(detection.anomaly, scan.grid)
    layers.append(_map(data, heat_scale(detection)))
    if detection.mask is not None and detection.mask.any():
        layers.append(_mask(_packed(detection.mask.astype(np.int16), scan.grid)))
    return layers


def layers_in(folder: Path, scan: Path | None) -> list[Layer]:
    """Return the layers of a folder that `hale detect` or the station wrote.

    Args:
        folder: With ``detection.json``.
        scan: Its scan; None: the copy that the station keeps beside it, or else no scan.

    Raises:
        Refused: There is no result in it.
    """
    table = read_table(folder / RESULT)
    if table is None:
        raise Refused(str(folder), f"has no {RESULT}", "give the --out of a `hale detect`")
    return list(_files(folder, scan, table))


def _files(folder: Path, scan: Path | None, table: Mapping[str, Any]) -> Iterator[Layer]:
    beside = [folder / f"{SCAN}{contrast}.nii.gz" for contrast in table.get("contrasts", ())]
    under = scan or next((path for path in beside if path.is_file()), None)
    if under is not None:
        yield Layer(name=under.name, data=under.read_bytes(), colormap="gray")
    healthy, mask = folder / MAPS["pseudo_healthy"], folder / MAPS["mask"]
    if healthy.is_file():
        yield _hidden(healthy.name, healthy.read_bytes())
    anomaly = folder / MAPS["anomaly"]
    yield _map(anomaly.read_bytes(), _window(read_map(anomaly), table.get("calibration")))
    if mask.is_file():
        yield _mask(mask.read_bytes())


def _window(values: np.ndarray, calibration: Mapping[str, Any] | None) -> tuple[float, float]:
    """Return where colours begin and end: as `hale.report.view.heat_scale`."""
    inside = values[values != 0]
    most, top = np.percentile(inside, [95, 99.95]) if inside.size else (0.0, 1.0)
    begin = float(most) if calibration is None else float(calibration.get("z0", 3.0))
    least = begin * 1.01 if calibration is None else begin + 3
    return max(begin, 1e-6), max(least, float(np.ceil(top)))


def _hidden(name: str, data: bytes) -> Layer:
    return Layer(name=name, data=data, colormap="gray", opacity=0.0)


def _map(data: bytes, window: tuple[float, float]) -> Layer:
    return Layer(name=MAPS["anomaly"], data=data, colormap="warm", opacity=OPACITY, window=window)


def _mask(data: bytes) -> Layer:
    return Layer(
        name=MAPS["mask"], data=data, colormap="cyan", opacity=OPACITY / 2, window=(0.5, 1.0)
    )


def _packed(values: np.ndarray, grid: Grid) -> bytes:
    return gzip.compress(nib.Nifti1Image(values, grid.affine).to_bytes(), 1)
