"""One tiny calibrated model and a phantom scan, made once, for everything the command line does."""

import errno
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from hale.cli.app import run
from hale.data.phantom import write_cohort

COARSE = ("--set", "prep.spacing_mm=4", "--set", "prep.shape=[48,48,40]")
FEW = ("--set", "calibration.alpha=0.2")  # which 4 healthy scans can promise


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where the fixtures lie."""

    healthy: Path
    """A cohort: three scans standardise, four calibrate, one (sub-008) is for the tests."""
    model: Path
    cache: Path

    @property
    def scan(self) -> Path:
        """The phantom that the model has not seen, brain-extracted."""
        return self.healthy / "sub-008/anat/sub-008_T1w.nii.gz"

    def detect(self, scan: Path, out: Path, *options: str) -> int:
        """Run `hale detect` in this process, without a report."""
        model, cache = ("--model", str(self.model)), ("--cache", str(self.cache))
        return run(
            ["detect", str(scan), "--out", str(out), *model, *cache, "--no-report", *options]
        )


@pytest.fixture(scope="session")
def place(tmp_path_factory) -> Place:
    folder = tmp_path_factory.mktemp("cli")
    place = Place(healthy=folder / "healthy", model=folder / "model", cache=folder / "cache")
    write_cohort(place.healthy, fit=0, standardise=3, calibrate=4, healthy=1, lesions=0, seed=3)
    data, out = ("--data", str(place.healthy)), ("--out", str(place.model))
    running = ("--workers", "1", "--cache", str(place.cache))
    assert run(["fit", "intensity-default", *data, *out, *COARSE, *FEW, *running]) == 0
    return place


@pytest.fixture(scope="session")
def values(place) -> np.ndarray:
    """The phantom's voxels in the axes of its file."""
    return np.asarray(nib.load(place.scan).dataobj)


@pytest.fixture(scope="session")
def affine(place) -> np.ndarray:
    return nib.load(place.scan).affine


@pytest.fixture(scope="session")
def line():
    """Return what a refusal printed, sure that it is one line on standard error and no more."""

    def read(capsys) -> str:
        said = capsys.readouterr()
        assert said.out == ""
        assert said.err.count("\n") == 1, said.err
        return said.err.removesuffix("\n")

    return read


@pytest.fixture
def full_disk(monkeypatch):
    """Let a function that writes fail, after it has succeeded a few times."""

    def fill(name: str, *, after: int = 0) -> None:
        left = iter(range(after))
        module, _, function = name.rpartition(".")
        real = getattr(sys.modules[module], function)

        def write(*arguments, **options):
            if next(left, None) is None:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return real(*arguments, **options)

        monkeypatch.setattr(name, write)

    return fill
