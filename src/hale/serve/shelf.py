"""The models that the station offers: fitted ones, and methods that learn from the scan itself."""

import os
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from hale.calibration import Calibrating, Calibration, from_arrays
from hale.core.errors import Refused
from hale.core.grid import Grid
from hale.core.method import Supervision
from hale.core.scan import Contrast
from hale.io.model import MANIFEST, read_about, read_calibration
from hale.serve.files import called

SINGLE = {
    "intensity": "How bright or dark a voxel is within its own brain",
    "asymmetry-default": "Left against right, in template space",
    "convae_scan-small": "Autoencoder that learns from this scan, 128 x 128",
    "convae_scan": "Autoencoder that learns from this scan",
    "anogan_scan-small": "GAN that learns from this scan, 128 x 128",
    "anogan_scan": "GAN that learns from this scan",
}
"""Methods and presets that need no model."""
ONE_CONTRAST = {"asymmetry-default": (Contrast.T1W,)}
"""Presets that do not take every contrast."""
WITH_MASKS = ("sadm_cases",)
"""Methods that learn from lesion masks."""
FIRST = "intensity"
"""The method whose answer comes while the others run."""
REFUSAL = "its recipe runs a program of its own (prep.brain_command), which the station never does"


@dataclass(frozen=True, kw_only=True)
class Offer:
    """A model, or a method for single scans."""

    id: str
    name: str
    method: str
    title: str
    contrasts: tuple[tuple[str, ...], ...]
    """One per channel: those that it accepts."""
    supervision: str
    calibrated: bool
    folder: Path | None = None
    """None of a method for single scans."""
    sha256: str = ""
    """Of the model."""
    refused: str = ""
    """Why it cannot be used; empty if it can."""

    def as_json(self) -> dict[str, Any]:
        """Return what the page shows of it: no path."""
        return {
            "id": self.id,
            "name": self.name,
            "method": self.method,
            "title": self.title,
            "contrasts": [list(slot) for slot in self.contrasts],
            "supervision": self.supervision,
            "calibrated": self.calibrated,
            "kind": "single" if self.folder is None else "model",
            "refused": self.refused,
        }


@dataclass(frozen=True, kw_only=True, eq=False)
class Standard:
    """What a model holds a scan against."""

    calibration: Calibration
    grid: Grid
    """Of the model's space."""


def supervision_of(method: str) -> Supervision:
    """Return what a method learns from, without loading it (some take seconds)."""
    if any(name == method or name.startswith(f"{method}-") for name in SINGLE):
        return Supervision.NONE
    return Supervision.LESION_MASKS if method in WITH_MASKS else Supervision.HEALTHY


def offers(folders: Sequence[Path]) -> list[Offer]:
    """Return the models below ``folders``, each once, and the methods for single scans."""
    found: dict[str, Offer] = {}
    for place in folders:
        for folder in _model_folders(place):
            if (offer := _offer(folder, (folder / MANIFEST).stat().st_mtime_ns)) is not None:
                found.setdefault(offer.id, offer)
    models = sorted(found.values(), key=lambda offer: (offer.name, offer.id))
    return [*models, *map(_single, SINGLE)]


def offer_of(folders: Sequence[Path], name: str) -> Offer:
    """Return the offer of an id.

    Raises:
        Unknown: There is none.
    """
    return called(name, offers(folders), "model")


def first_of(folders: Sequence[Path], contrasts: Sequence[str]) -> Offer:
    """Return what answers first: a calibrated ``intensity`` for these contrasts, or the method."""
    for offer in offers(folders):
        fits = len(offer.contrasts) == 1 and bool(set(offer.contrasts[0]) & set(contrasts))
        if offer.method == FIRST and offer.calibrated and fits and not offer.refused:
            return offer
    return _single(FIRST)


def standard_of(folders: Sequence[Path], sha256: str) -> Standard | None:
    """Return the standard of the model of this hash; None if it is not here, or uncalibrated."""
    for offer in offers(folders):
        if offer.sha256 == sha256 and offer.folder is not None and offer.calibrated:
            return _standard(offer.folder, sha256)
    return None


@lru_cache(maxsize=4)
def _standard(folder: Path, sha256: str) -> Standard | None:
    """Return a model's standard; None if it has changed since it was listed."""
    try:
        files, found = read_calibration(folder)
        settings = Calibrating(**tomllib.loads(files.recipe)["calibration"])
        if files.calibration is None or found != sha256:
            return None
        i, j, k = files.space["shape"]
        return Standard(
            calibration=from_arrays(files.calibration, settings, files.provenance["domain"]),
            grid=Grid(shape=(i, j, k), affine=np.array(files.space["affine"], float)),
        )
    except (Refused, KeyError, TypeError, ValueError):
        return None


def _model_folders(place: Path) -> Iterator[Path]:
    """Yield the folders of models at and below a place; links are not followed."""
    for folder, folders, names in os.walk(place):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if MANIFEST in names:
            folders.clear()
            yield Path(folder)


@lru_cache(maxsize=256)
def _offer(folder: Path, changed: int) -> Offer | None:
    """Return the offer of a model's folder; ``changed`` makes the memory forget an older one."""
    del changed
    try:
        files, sha256 = read_about(folder)
        recipe = tomllib.loads(files.recipe)
        method, score = recipe["method"]["name"], recipe.get("post", {}).get("score", "own")
        slots = tuple(tuple(map(str, slot)) for slot in files.space["slots"])
        runs = recipe.get("prep", {}).get("brain_command", "")
    except (Refused, KeyError, TypeError, AttributeError):
        return None
    return Offer(
        id=sha256[:16],
        name=folder.name,
        method=method,
        title=method if score == "own" else f"{method}+{score}",
        contrasts=slots,
        supervision=str(supervision_of(method)),
        calibrated=files.calibration is not None,
        folder=folder,
        sha256=sha256,
        refused=REFUSAL if runs else "",
    )


def _single(name: str) -> Offer:
    contrasts = ONE_CONTRAST.get(name, tuple(Contrast))
    return Offer(
        id=name,
        name=name,
        method=name.partition("-")[0],
        title=SINGLE[name],
        contrasts=(tuple(map(str, contrasts)),),
        supervision=str(Supervision.NONE),
        calibrated=False,
    )
