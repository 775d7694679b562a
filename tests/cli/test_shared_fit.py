"""`hale fit` by two processes, and with compiled networks."""

import json
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from hale.cli.app import run
from hale.io.model import CALIBRATION, STATE

HALE = Path(sys.executable).with_name("hale")
TORCHRUN = ("-m", "torch.distributed.run", "--nproc-per-node", "2", "--no-python")
SPLITS = ("fit",) * 4 + ("standardise",) * 3 + ("calibrate",) * 4
SHAPE = (16, 16, 8)
TINY = (
    *("--set", "prep.mode=given", "--set", "prep.low=0", "--set", "prep.high=100"),
    *("--set", "calibration.alpha=0.2", "--set", "method.width=2", "--set", "method.batch=4"),
    *("--set", "method.steps=4", "--set", "method.validate_every=2", "--set", "method.noise=0"),
    *("--device", "cpu", "--precision", "32", "--workers", "1"),
)


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """Balls of noise on a small grid, all with the same range."""
    folder = tmp_path_factory.mktemp("shared") / "data"
    brain = ((np.indices(SHAPE) - np.array([7.5, 7.5, 3.5])[:, None, None, None]) ** 2).sum(0) < 40
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    for number in range(len(SPLITS)):
        noise = np.random.default_rng(number).standard_normal(SHAPE)
        values = np.where(brain, 100 + 10 * noise, 0).astype(np.float32)
        values[7, 7, 2], values[8, 8, 5] = 40, 160
        path = folder / f"sub-{number}/anat/sub-{number}_T1w.nii.gz"
        path.parent.mkdir(parents=True)
        nib.save(nib.Nifti1Image(values, affine), path)
    rows = [f"sub-{number}\t{split}" for number, split in enumerate(SPLITS)]
    (folder / "participants.tsv").write_text("\n".join(["participant_id\tsplit", *rows]) + "\n")
    return folder


@pytest.fixture(scope="module")
def arguments(data, tmp_path_factory):
    """Return the arguments of a tiny fit."""
    cache = tmp_path_factory.mktemp("cache")

    def of(out: Path, *options: str) -> list[str]:
        places = ["--data", str(data), "--out", str(out), "--cache", str(cache)]
        return ["fit", "dae-default", *places, *TINY, *options]

    return of


@pytest.fixture(scope="module")
def alone(arguments, tmp_path_factory) -> Path:
    """A model that one process has fitted."""
    out = tmp_path_factory.mktemp("alone") / "model"
    assert run(arguments(out)) == 0
    return out


def started(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, timeout=300
    )


@pytest.mark.slow
def test_torchrun_shares_a_fit_which_one_process_finishes(arguments, alone, tmp_path):
    out = tmp_path / "model"
    done = started(sys.executable, *TORCHRUN, str(HALE), *arguments(out, "--json"))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["fit"]["steps_done"] == 4  # said once
    assert done.stderr.count("preparing the fit scans: 4 of 4") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model"]
    for name, atol in ((STATE, 1e-6), (CALIBRATION, 1e-3)):
        two, one = load_file(out / name), load_file(alone / name)
        assert two.keys() == one.keys()
        for key, value in one.items():
            np.testing.assert_allclose(two[key], value, rtol=1e-4, atol=atol)


@pytest.mark.slow
def test_a_refusal_ends_all_processes_and_is_said_once(arguments, tmp_path):
    given = arguments(tmp_path / "model", "--devices", "2", "--set", "method.batch=3")
    done = started(str(HALE), *given)
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    said = "refused a batch of 3: 2 processes cannot share it equally; set method.batch to"
    assert done.stderr.count(said) == 1
    assert done.stderr.count("refused") == 1
    assert not list(tmp_path.glob("model*"))


def test_what_is_compiled_is_what_learns_and_what_scores(arguments, alone, tmp_path, monkeypatch):
    seen = []

    def noted(function, **options):
        assert options == {"options": {"fallback_random": True}}
        seen.append(function)
        return function

    monkeypatch.setattr(torch, "compile", noted)
    out = tmp_path / "model"
    assert run(arguments(out, "--compile")) == 0
    tried, learns, scores = seen
    assert tried is torch.sin
    assert type(learns).__name__ == type(scores.__self__).__name__ == "DenoisingUNet"
    assert scores.__self__ is not learns
    assert (out / STATE).read_bytes() == (alone / STATE).read_bytes()
    assert run(arguments(tmp_path / "plain")) == 0
    assert len(seen) == 3


def test_without_a_compiler_nothing_is_begun(arguments, tmp_path, monkeypatch, capsys, line):
    def broken(function, **_):
        raise RuntimeError("there is no compiler")

    monkeypatch.setattr(torch, "compile", broken)
    assert run(arguments(tmp_path / "model", "--compile")) == 2
    assert "--compile: torch.compile does not work here (there is no compiler)" in line(capsys)
    assert not list(tmp_path.iterdir())
