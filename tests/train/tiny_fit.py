"""A fit of a second, as a program: it can be killed, and it can be one of several processes.

python tiny_fit.py METHOD FOLDER STATE [--kill-at N] [--devices N]
"""

import argparse
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import save_file

from hale.core.grid import Grid
from hale.core.method import Training
from hale.core.run import Precision
from hale.core.scan import Contrast, Scan, Space
from hale.recipe import build_recipe
from hale.train.run import FabricRun, FabricStep
from hale.train.team import joined

TINY = {"width": 4, "batch": 4, "steps": 24}
METHODS = {
    "ae": {**TINY, "name": "ae", "latent": 4, "validate_every": 6, "dropout": 0.2},
    "cevae": {**TINY, "name": "cevae", "latent": 4, "edge": 4, "validate_every": 6},
    "dae": {**TINY, "name": "dae"},
    "fanogan": {**TINY, "name": "fanogan", "latent": 4, "critic_steps": 2, "validate_every": 3},
    "noiseless": {**TINY, "name": "dae", "noise": 0.0},
}


class Killed(FabricRun):
    """A run that is killed in the middle of a step, as a machine that loses its power is."""

    kill_at = -1

    def steps(self, total: int, **state: Any) -> Iterator[FabricStep]:
        for step in super().steps(total, **state):
            if step.number == self.kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
            yield step


def scans(count: int, first: int) -> list[Scan]:
    grid = Grid(shape=(16, 16, 8), affine=np.eye(4))
    space = Space(slots=((Contrast.FLAIR,),), grid=grid)
    brain = ((np.indices(grid.shape) - np.array([7.5, 7.5, 3.5])[:, None, None, None]) ** 2).sum(0)
    noise = [np.random.default_rng(first + n).random((1, *grid.shape), "f4") for n in range(count)]
    return [
        Scan(id=str(n), space=space, image=x * (brain < 40), brain=brain < 40)
        for n, x in enumerate(noise)
    ]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("method")
    parser.add_argument("folder", type=Path)
    parser.add_argument("state", type=Path)
    parser.add_argument("--kill-at", type=int, default=-1)
    parser.add_argument("--devices", type=int, default=1)
    told = parser.parse_args()
    torch.set_num_threads(1)
    run = Killed(
        seed=3,
        device="cpu",
        precision=Precision.FULL,
        folder=told.folder,
        fingerprint="tiny",
        resume="latest",
        save_steps=5,
        team=joined("cpu", Precision.FULL, devices=told.devices),
    )
    run.kill_at = told.kill_at
    healthy = scans(3, 0)
    training = Training(space=healthy[0].space, healthy=healthy, held_out=scans(1, 100))
    detector = build_recipe({"method": METHODS[told.method]}).method.fit(training, run)
    if run.rank == 0:
        save_file(dict(detector.state()), told.state)


if __name__ == "__main__":
    main()
