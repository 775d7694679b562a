"""A station with one tiny calibrated model, a few results, and a browser that was let in."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from starlette.testclient import TestClient

from hale.cli.app import run
from hale.serve.app import application
from hale.serve.security import Keys
from hale.serve.station import Station

sys.path.insert(0, str(Path(__file__).parent))
from balls import ball, nifti

PORT = 8737
HOME = f"http://127.0.0.1:{PORT}"


@dataclass(frozen=True, kw_only=True)
class Lab:
    """Where the fixtures lie."""

    healthy: Path
    models: Path
    ill: Path
    """A scan with two lesions."""
    results: Path
    """``ill``, ``well`` (calibrated, of `hale detect`) and ``plain`` (uncalibrated)."""


@pytest.fixture(scope="session")
def lab(tmp_path_factory) -> Lab:
    folder = tmp_path_factory.mktemp("lab")
    splits = ["standardise"] * 3 + ["calibrate"] * 9
    lines = ["participant_id\tsplit"]
    for number, split in enumerate(splits, 1):
        name = f"sub-{number:02}"
        place = folder / "healthy" / name / "anat" / f"{name}_T1w.nii.gz"
        place.parent.mkdir(parents=True)
        place.write_bytes(nifti(ball(number)))
        lines.append(f"{name}\t{split}")
    (folder / "healthy/participants.tsv").write_text("\n".join(lines) + "\n")
    ill, well = folder / "sub-91_T1w.nii.gz", folder / "sub-90_T1w.nii.gz"
    ill.write_bytes(nifti(ball(91, lesions=2)))
    well.write_bytes(nifti(ball(90)))
    model, cache = folder / "models/ball", ("--cache", str(folder / "cache"))
    given = ("--set", "prep.mode=given", "--set", "post.median=0")
    fit = ["fit", "intensity-default", "--data", str(folder / "healthy"), "--out", str(model)]
    assert run([*fit, *given, "--workers", "1", *cache]) == 0
    for scan, name in ((ill, "ill"), (well, "well")):
        out = ("--out", str(folder / "results" / name), "--model", str(model), "--no-report")
        assert run(["detect", str(scan), *out, *cache, "--insist"]) == 0
    out = ("--out", str(folder / "results/plain"), "--method", "intensity", "--no-report")
    mask = folder / "mask.nii.gz"
    mask.write_bytes(nifti((ball(91) > 0).astype(np.uint8)))
    given = ("--brain-mask", str(mask), "--insist", "--set", "prep.bias=false")
    assert run(["detect", str(ill), *out, *cache, *given]) == 0
    return Lab(
        healthy=folder / "healthy",
        models=folder / "models",
        ill=ill,
        results=folder / "results",
    )


@pytest.fixture
def station(lab, tmp_path) -> Station:
    """A station on a copy of the results."""
    folder = tmp_path / "station"
    for path in sorted(lab.results.rglob("*")):
        if path.is_file():
            place = folder / path.relative_to(lab.results)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(path.read_bytes())
    return Station(
        folder=folder,
        models=(lab.models,),
        scans=lab.ill.parent,
        max_upload=2**20,
        device="cpu",
    )


@pytest.fixture
def keys() -> Keys:
    return Keys(port=PORT)


@pytest.fixture
def stranger(station, keys) -> TestClient:
    """A browser without cookie; no jobs are run."""
    return TestClient(application(station, keys), base_url=HOME, raise_server_exceptions=False)


@pytest.fixture
def browser(stranger, keys) -> TestClient:
    """A browser that was let in."""
    assert (
        stranger.get("/", params={"token": keys.token}, follow_redirects=False).status_code == 303
    )
    return stranger


@pytest.fixture
def ids(browser) -> Iterator[dict[str, str]]:
    """Path of each result -> its id."""
    return {row["path"]: row["id"] for row in browser.get("/api/results").json()}


@pytest.fixture
def ill(browser, ids, station) -> Iterator[tuple[str, Path]]:
    """The address of a flagged result, and its folder, whose own files never change."""
    folder = station.folder / "ill"
    before = contents(folder)
    yield f"/api/results/{ids['ill']}", folder
    assert contents(folder) == before


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a result but the reader's."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and "review" not in path.parts
    }
