"""The files of a detection: what cannot be written does not take the rest with it."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from hale.core.detection import Detection
from hale.core.errors import Refused
from hale.core.grid import Grid
from hale.core.scan import Contrast, Source, Volume
from hale.io import dicom_seg
from hale.pipeline.write import RESULT, write_detection

GRID = Grid(shape=(6, 7, 8), affine=np.diag([2.0, 2.0, 2.0, 1.0]))


def detection() -> Detection:
    zeros = np.zeros(GRID.shape, np.float32)
    return Detection(
        id="exam",
        contrasts={Contrast.T1W: Volume(values=zeros, grid=GRID)},
        brain=np.ones(GRID.shape, bool),
        anomaly=zeros,
        pvalue=zeros + 1,
        mask=np.zeros(GRID.shape, np.int32),
        pseudo_healthy=None,
        lesions=(),
        score=0.0,
        flagged=False,
        validity=None,
        checks={"brain_ml": 1400.0, "noise": float("nan")},
    )


def test_a_segmentation_that_cannot_be_written_is_noted_and_the_rest_is_there(
    tmp_path, monkeypatch
):
    def refuse(path: Path, *_arguments, **_options):
        path.write_bytes(b"half")
        raise Refused("series 4", "has no frame of reference", "use the NIfTI mask")

    monkeypatch.setattr(dicom_seg, "write_segmentation", refuse)
    out = tmp_path / "out"
    write_detection(detection(), Source(dicom=(Path("slice.dcm"),)), out, report=False)
    told = json.loads((out / RESULT).read_text())
    assert told["notes"] == [
        "no DICOM SEG: series 4: has no frame of reference; use the NIfTI mask"
    ]
    assert told["checks"] == {"brain_ml": 1400.0, "noise": None}
    assert (out / "mask.nii.gz").is_file()
    assert not (out / "mask.seg.dcm").exists()


def test_a_scan_that_came_from_nifti_has_no_segmentation(tmp_path):
    write_detection(detection(), Source(), tmp_path / "out", report=False)
    assert not list((tmp_path / "out").glob("*.dcm"))


def test_a_review_outlives_a_result_that_is_written_again(tmp_path):
    """As it is where the mask is the same one; set aside where its numbers mean other lesions."""
    out, source = tmp_path / "out", Source(files=(), sha256=())
    write_detection(detection(), source, out, report=False)
    (out / "review").mkdir()
    (out / "review/review.json").write_text("first")
    write_detection(detection(), source, out, report=False)
    assert (out / "review/review.json").read_text() == "first"
    mask = np.zeros(GRID.shape, np.int32)
    mask[1, 1, 1] = 1
    other = replace(detection(), mask=mask)
    write_detection(other, source, out, report=False)
    assert not (out / "review").exists()
    assert (out / "review.1/review.json").read_text() == "first"
    (out / "review").mkdir()
    write_detection(detection(), source, out, report=False)
    assert {path.name for path in out.glob("review*")} == {"review.1", "review.2"}
