"""Small scans, and what they come to: two models, their results on one scan, a benchmark."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
from scipy.ndimage import gaussian_filter

from hale.cli.app import run

SHAPE, MM = (44, 52, 44), 4.0
AFFINE = np.array([[-MM, 0, 0, 86], [0, MM, 0, -102], [0, 0, MM, -86], [0, 0, 0, 1]])
"""Stored from right to left, so that an order of voxels that is taken for another shows."""
SPLITS = ["fit"] * 3 + ["standardise"] * 3 + ["calibrate"] * 5
SUITE = """
title = "A made suite"
healthy = "healthy"
baseline = "atlas"
[[cohorts]]
name = "ill"
data = "ill"
kind = "patients"
contrast = "T1w"
[[methods]]
name = "atlas"
recipe = "atlas-default"
"""


@dataclass(frozen=True, kw_only=True)
class Made:
    """What the station is started on."""

    models: Path
    results: Path
    """Of two methods on one scan with a lesion; and a benchmark."""
    scans: Path
    """Folder of scans to pick from."""
    scan: Path
    """The one with the lesion, which is there too."""
    cache: Path


def make(folder: Path) -> Made:
    """Write scans and fit, calibrate and detect on them."""
    place = "ill/sub-99/anat/sub-99"
    made = Made(
        models=folder / "models",
        results=folder / "results",
        scans=folder / "scans",
        scan=folder / f"scans/{place}_T1w.nii.gz",
        cache=folder / "cache",
    )
    healthy = _write_healthy(made.scans / "healthy")
    made.scan.parent.mkdir(parents=True)
    nib.save(nib.Nifti1Image(_head(99, lesion=True), AFFINE), made.scan)
    lesion = nib.Nifti1Image((_bump() > 0.3).astype(np.uint8), AFFINE)
    nib.save(lesion, made.scans / f"{place}_desc-lesion_mask.nii.gz")
    few = ("--set", "calibration.alpha=0.2", "--set", "prep.mode=given", "--workers", "1")
    for name in ("intensity", "atlas"):
        model, cache = made.models / name, ("--cache", str(made.cache))
        where = ("--data", str(healthy), "--out", str(model))
        assert run(["fit", f"{name}-default", *where, *few, *cache]) == 0
        out = made.results / name / "sub-99"
        options = ("--model", str(model), "--out", str(out), "--no-report", *cache)
        assert run(["detect", str(made.scan), *options]) == 0
        shutil.copy(made.scan, out / "scan_T1w.nii.gz")
    _write_bench(made.results / "bench", made.results / "atlas/sub-99")
    return made


def _bump() -> np.ndarray:
    """A soft ball of 0 to 1."""
    return np.exp(-((np.indices(SHAPE).T - np.array([14, 30, 24])) ** 2).sum(-1).T / 10)


def _head(seed: int, *, lesion: bool = False) -> np.ndarray:
    """An ellipsoid of 1.4 l; texture that all share, some that is its own, perhaps a lesion."""
    x, y, z = ((np.indices(SHAPE).T - (np.array(SHAPE) - 1) / 2) * MM).T
    common, own = (
        gaussian_filter(np.random.default_rng(n).standard_normal(SHAPE), width)
        for n, width in ((0, 2.0), (seed, 1.0))
    )
    values = 600 + 90 * common / common.std() + 40 * own / own.std() + 500 * lesion * _bump()
    brain = (x / 66) ** 2 + (y / 84) ** 2 + (z / 62) ** 2 < 1
    return np.where(brain, values.clip(1), 0).astype(np.int16)


def _write_healthy(folder: Path) -> Path:
    rows = ["participant_id\tage\tsplit"]
    for n, split in enumerate(SPLITS, 1):
        place = folder / f"sub-{n:02d}/anat"
        place.mkdir(parents=True)
        nib.save(nib.Nifti1Image(_head(n), AFFINE), place / f"sub-{n:02d}_T1w.nii.gz")
        rows.append(f"sub-{n:02d}\t{30 + n}\t{split}")
    (folder / "participants.tsv").write_text("\n".join(rows) + "\n")
    return folder


def _write_bench(folder: Path, result: Path) -> None:
    """Write a benchmark of one method on one case, as far as the viewer reads it."""
    maps = folder / "maps/atlas.s0.f0/ill/sub-99"
    maps.mkdir(parents=True)
    for path in result.glob("*.nii.gz"):
        shutil.copy(path, maps)
    (folder / "suite.toml").write_text(SUITE)
    whole = {"value": 0.61, "low": 0.5, "high": 0.7, "n": 1}
    case = {"id": "sub-99", "patient": "sub-99", "kind": "lesion", "lesion_ml": 2.4}
    case |= {"auprc": 0.61, "dice_at_alpha": 0.5, "best_dice_oracle": 0.6, "flagged": 1}
    row = {"method": "atlas", "title": "Atlas", "supervision": "healthy", "cohort": "ill"}
    row |= {"contrast": "T1w", "disease": "made", "kind": "patients", "seeds": [0], "folds": [0]}
    row |= {"figures": {"auprc": whole}, "cases": [case]}
    board = {
        "suite": {"name": "made", "title": "A made suite", "notes": [], "figure": "auprc"},
        "cohorts": [{"name": "ill", "title": "Made patients", "contrast": "T1w"}],
        "rows": [row],
        "missing": [],
    }
    (folder / "leaderboard").mkdir()
    (folder / "leaderboard/leaderboard.json").write_text(json.dumps(board))
