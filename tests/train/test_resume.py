"""A run that was killed and resumed, or shared by two processes, is the run that was not."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

PROGRAM = Path(__file__).with_name("tiny_fit.py")


def fit(method: str, place: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", str(PROGRAM), method, str(place / "run")]
    return subprocess.run(
        [*command, str(place / "state"), *options], capture_output=True, text=True, check=False
    )


@pytest.mark.slow
@pytest.mark.parametrize("method", ["ae", "dae", "fanogan"])
def test_killed_and_resumed_is_bitwise_the_uninterrupted_run(method, tmp_path):
    straight, broken = tmp_path / "straight", tmp_path / "broken"
    straight.mkdir()
    broken.mkdir()
    assert (done := fit(method, straight)).returncode == 0, done.stderr
    assert fit(method, broken, "--kill-at", "13").returncode == -signal.SIGKILL
    assert not (broken / "state").exists()
    steps = sorted(path.name for path in (broken / "run").glob("step-*"))
    assert steps == ["step-00000005.safetensors", "step-00000010.safetensors"]
    assert (done := fit(method, broken)).returncode == 0, done.stderr
    assert (broken / "state").read_bytes() == (straight / "state").read_bytes()
    assert losses(broken) == losses(straight)


@pytest.mark.slow
def test_two_processes_learn_what_one_does(tmp_path):
    """Each takes its share of the same draw, so the mean gradient is that of the whole batch."""
    states = []
    for devices in ("1", "2"):
        place = tmp_path / devices
        place.mkdir()
        done = fit("noiseless", place, "--devices", devices)
        assert done.returncode == 0, done.stderr
        states.append(load_file(place / "state"))
    one, two = states
    for name, weights in one.items():
        np.testing.assert_allclose(two[name], weights, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["cevae", "fanogan"])
def test_two_processes_can_share_several_networks_and_passes(method, tmp_path):
    done = fit(method, tmp_path, "--devices", "2")
    assert done.returncode == 0, done.stderr
    assert all(np.isfinite(weights).all() for weights in load_file(tmp_path / "state").values())


def losses(place: Path) -> list[dict[str, float]]:
    lines = (place / "run" / "log.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in lines]
