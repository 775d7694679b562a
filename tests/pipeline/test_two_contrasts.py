"""A model of two contrasts, from fit to report, on small brains that need no preparation."""

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from hale.cli.app import run
from hale.core.scan import Contrast
from hale.pipeline.model import load_model

SHAPE = (16, 16, 12)
AFFINE = np.diag([2.0, 2.0, 2.0, 1.0])
AFFINE[:3, 3] = -15
SETTINGS = (
    *("--set", 'prep.slots=[["T1w"],["FLAIR"]]', "--set", "prep.mode=given"),
    *("--set", "calibration.alpha=0.2", "--set", "post.median=0", "--workers", "1"),
)


def write_exam(folder: Path, name: str, seed: int, *contrasts: str, lesion: str = "") -> None:
    """Write a ball of noise per contrast; a lesion is dark on T1w, bright elsewhere."""
    rng = np.random.default_rng(seed)
    brain = ((np.indices(SHAPE) - np.array([7.5, 7.5, 5.5])[:, None, None, None]) ** 2).sum(0) < 30
    for contrast in contrasts:
        values = np.where(brain, 100 + 5 * rng.standard_normal(SHAPE), 0).astype(np.float32)
        if contrast == lesion:
            values[6:10, 6:10, 4:8] += -60 if contrast == "T1w" else 60
        path = folder / name / "anat" / f"{name}_{contrast}.nii.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        nib.save(nib.Nifti1Image(values, AFFINE), path)


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("two")
    for number in range(8):
        write_exam(folder / "healthy", f"sub-{number}", number, "T1w", "FLAIR")
    lines = ["participant_id\tsplit"]
    lines += [f"sub-{n}\t{'standardise' if n < 3 else 'calibrate'}" for n in range(8)]
    (folder / "healthy/participants.tsv").write_text("\n".join(lines) + "\n")
    out = folder / "model"
    data = ("--data", str(folder / "healthy"), "--out", str(out), "--cache", str(folder / "cache"))
    assert run(["fit", "intensity-default", *data, *SETTINGS]) == 0
    return out


def test_the_model_remembers_both_channels(model):
    loaded = load_model(model)
    assert loaded.space.slots == ((Contrast.T1W,), (Contrast.FLAIR,))
    assert loaded.calibration.domain["channels"] == [["T1w"], ["FLAIR"]]
    card = (model / "card.md").read_text()
    assert "T1w" in card
    assert "FLAIR" in card


@pytest.mark.parametrize("lesion", ["T1w", "FLAIR"])
def test_a_lesion_on_either_contrast_is_found(model, lesion, tmp_path):
    write_exam(tmp_path, "sub-x", 99, "T1w", "FLAIR", lesion=lesion)
    out = tmp_path / "out"
    files = [tmp_path / "sub-x/anat" / f"sub-x_{c}.nii.gz" for c in ("FLAIR", "T1w")]
    given = ("--flair", str(files[0]), "--t1w", str(files[1]))
    assert run(["detect", *given, "--model", str(model), "--out", str(out)]) == 0
    told = json.loads((out / "detection.json").read_text())
    assert told["contrasts"] == ["T1w", "FLAIR"]
    assert told["p_values"]["holds"]
    z = nib.load(out / "anomaly.nii.gz").get_fdata()
    inside = np.zeros(SHAPE, bool)
    inside[6:10, 6:10, 4:8] = True
    assert z[inside].mean() > 3 * max(z[(z > 0) & ~inside].mean(), 0.1)
    page = (out / "report.html").read_text()
    assert "Called FLAIR" in page


def test_an_exam_that_lacks_a_contrast_is_named_and_the_others_are_done(model, tmp_path, capsys):
    write_exam(tmp_path / "data", "sub-a", 1, "T1w", "FLAIR")
    write_exam(tmp_path / "data", "sub-b", 2, "T1w")
    out = ("--out", str(tmp_path / "out"), "--workers", "1", "--no-report")
    assert run(["detect", str(tmp_path / "data"), "--model", str(model), *out]) == 3
    said = capsys.readouterr().out
    assert "failed sub-b: sub-b: is T1w, the model takes T1w + FLAIR; give --flair FILE" in said
    assert (tmp_path / "out/sub-a/detection.json").is_file()
