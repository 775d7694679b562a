"""A training that torchrun shares between two processes, over gloo, is that of one process."""

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from hale.core.errors import Refused
from hale.core.run import Device, Precision
from hale.train.team import each_machines, joined, processes_started

PROGRAM = Path(__file__).with_name("tiny_team.py")
PROCESSES = (0, 1)


@dataclass(frozen=True, kw_only=True)
class Pair:
    """What two processes have left, and one process before them."""

    folder: Path
    tiny: ModuleType
    alone: dict[str, torch.Tensor]
    """Weights that one process has learnt, with checkpoints in ``one``."""

    def heard(self, what: str) -> list[Any]:
        """Return what each process has heard."""
        return [
            json.loads((self.folder / f"heard{rank}.json").read_text())[what] for rank in PROCESSES
        ]

    def made(self, what: str) -> list[dict[str, torch.Tensor]]:
        """Return the tensors of each process."""
        return [load_file(self.folder / f"{what}{rank}") for rank in PROCESSES]


@pytest.fixture(scope="module")
def pair(tmp_path_factory) -> Pair:
    folder = tmp_path_factory.mktemp("pair")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(PROGRAM.parent)
        import tiny_team
    alone = tiny_team.learnt(tiny_team.run_in(joined("cpu", "32"), folder=folder / "one"))
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*launch, str(PROGRAM), str(folder)], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return Pair(folder=folder, tiny=tiny_team, alone=alone)


def assert_same(tensors, expected, atol=1e-6) -> None:
    assert tensors.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(tensors[name], value, rtol=0, atol=atol)


@pytest.mark.slow
def test_two_processes_have_the_gradient_of_one(pair):
    expected = pair.tiny.gradient(pair.tiny.run_in(joined("cpu", "32")))
    assert max(float(g.abs().max()) for g in expected.values()) > 0.01
    for gradient in pair.made("gradient"):
        assert_same(gradient, expected)


@pytest.mark.slow
def test_two_processes_learn_the_weights_of_one(pair):
    """Noise, levels and augmentation are drawn for the whole batch, whoever has a slice of it."""
    for weights in pair.made("weights"):
        assert_same(weights, pair.alone)


@pytest.mark.slow
def test_two_processes_go_on_from_a_checkpoint_of_one(pair):
    for weights in pair.made("resumed"):
        assert_same(weights, pair.alone)


@pytest.mark.slow
def test_one_process_goes_on_from_a_checkpoint_of_two(pair, tmp_path):
    folder = shutil.copytree(pair.folder / "two", tmp_path / "two")
    run = pair.tiny.run_in(joined("cpu", "32"), folder=folder, resume=pair.tiny.HALF)
    assert_same(pair.tiny.learnt(run), pair.alone)


@pytest.mark.slow
def test_the_first_process_alone_writes(pair):
    steps = sorted(path.stem for path in (pair.folder / "two").glob("step-*"))
    assert steps == ["step-00000004", "step-00000008"]
    lines = (pair.folder / "two" / "log.jsonl").read_text().splitlines()
    logged = [json.loads(line)["step"] for line in lines if "held_out" not in line]
    assert logged == list(range(8))
    assert pair.heard("alone") == ["0", None]
    assert (pair.folder / "alone").read_text() == "0"


@pytest.mark.slow
def test_processes_hear_each_other(pair):
    assert pair.heard("told") == [10, 10]
    assert pair.heard("all_say") == [[10, 11], [10, 11]]
    assert pair.heard("in_turn") == ["0", "1"]
    assert (pair.folder / "in_turn").read_text() == "01"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("what", "speaker", "said"),
    [
        ("first", 0, "this: cannot be; ask process 0"),
        ("second", 1, "this: cannot be; ask process 1"),
        ("unequal", 0, "a batch of 3: 2 processes cannot share it equally; set method.batch"),
        ("nan", 0, "step 0: the gradient is not finite"),
        ("unkept", 0, "a checkpoint: cannot be written; free space"),
        ("apart", 0, "find different checkpoints there (steps [0, 1])"),
    ],
)
def test_what_one_is_refused_ends_both_and_one_says_it(pair, what, speaker, said):
    kinds = [kind for kind, _ in pair.heard(what)]
    assert kinds[speaker] == "Refused"
    assert kinds[1 - speaker] == "RefusedElsewhere"
    assert said in pair.heard(what)[speaker][1]


def test_a_process_that_nobody_started_is_alone():
    team = joined("cpu", "32")
    assert (team.rank, team.size, team.is_first) == (0, 1, True)
    assert team.precision is Precision.FULL
    assert team.told(5) == 5
    assert team.all_say(5) == [5]
    assert team.alone(lambda: 7) == team.in_turn(lambda: 7) == 7
    team.part()


def test_what_has_started_processes_says_how_many(monkeypatch):
    assert processes_started() == 1
    monkeypatch.setenv("SLURM_NTASKS", "6")
    monkeypatch.setenv("SLURM_NTASKS_PER_NODE", "3")
    assert processes_started() == 6
    monkeypatch.delenv("SLURM_NTASKS_PER_NODE")
    with pytest.raises(Refused, match="start them by srun --ntasks-per-node"):
        processes_started()
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    monkeypatch.setenv("WORLD_SIZE", "4")
    assert processes_started() == 4


def test_other_numbers_of_processes_than_were_started_are_refused(monkeypatch):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    for name, value in {"WORLD_SIZE": "4", "RANK": "0", "LOCAL_RANK": "0"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(Refused, match=r"--devices 3 --nodes 1: .*does not match the world size"):
        joined("cpu", "32", devices=3)


@pytest.mark.parametrize(
    ("processes", "gpus", "each"), [(1, 4, 1), (4, 4, 4), (8, 4, 4), (6, 4, 3), (2, 8, 2)]
)
def test_each_machine_has_a_gpu_for_each_process(processes, gpus, each, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    assert each_machines(processes, Device.CUDA) == each
    assert each_machines(processes, Device.CPU) == processes
