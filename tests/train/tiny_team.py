"""What the processes of a team do and learn, as a program for torchrun: each writes what it met.

python -m torch.distributed.run --nproc-per-node 2 tiny_team.py FOLDER
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from tiny_fit import scans
from torch import nn

from hale.core.errors import Refused
from hale.core.method import Training
from hale.core.run import Precision
from hale.recipe import build_recipe
from hale.train.checkpoint import Checkpoints
from hale.train.run import FabricRun
from hale.train.team import Team, joined

DDPM = {"name": "ddpm", "width": 8, "multipliers": [1, 2], "blocks": 1, "batch": 4}
STEPS, HALF = 8, 4


class Unkept:
    """What a checkpoint cannot take."""

    def state_dict(self) -> dict[str, Any]:
        raise Refused("a checkpoint", "cannot be written", "free space")


def run_in(team: Team, **settings: Any) -> FabricRun:
    return FabricRun(seed=3, team=team, save_steps=HALF, keep=9, **settings)


def learnt(run: FabricRun) -> dict[str, torch.Tensor]:
    """Return the weights of a small diffusion model after a few steps of Adam."""
    healthy = scans(3, 0)
    training = Training(space=healthy[0].space, healthy=healthy, held_out=scans(1, 100))
    method = build_recipe({"method": {**DDPM, "steps": STEPS, "validate_every": HALF}}).method
    return dict(method.fit(training, run).net.state_dict())


def gradient(run: FabricRun) -> dict[str, torch.Tensor]:
    """Return the gradient of the first step: what SGD with a rate of 1 takes off the weights."""
    healthy = scans(3, 0)
    method = build_recipe({"method": {**DDPM, "steps": 1, "clip": 0.0}}).method
    torch.manual_seed(3)
    own = method.unet(healthy[0].space)
    before = {name: p.detach().clone() for name, p in own.named_parameters()}
    training = Training(space=healthy[0].space, healthy=healthy)
    method.teach(own, training, run, method.loss, torch.optim.SGD(own.parameters(), lr=1.0))
    return {name: before[name] - p.detach() for name, p in own.named_parameters()}


def met(work: Callable[[], Any]) -> list[str]:
    """Return what a process is refused, and how."""
    try:
        work()
    except Refused as refusal:
        return [type(refusal).__name__, str(refusal)]
    return []


def refused(team: Team, who: int) -> None:
    if team.rank == who:
        raise Refused("this", "cannot be", f"ask process {who}")


def stepped(run: FabricRun, value: float, **state: Any) -> None:
    """Descend once, from a loss that may not be finite."""
    net = nn.Linear(1, 1)
    net, sgd = run.setup(net, torch.optim.SGD(net.parameters(), lr=0.1))
    for step in run.steps(1, **state):
        step.descend(net(torch.full((1, 1), value)).sum(), sgd)


def appended(path: Path, line: str) -> str:
    with path.open("a") as file:
        file.write(line)
    return line


def words(team: Team, folder: Path) -> dict[str, Any]:
    """Return what a process is told, and what it is refused."""
    rank = team.rank
    apart = folder / f"apart{rank}"
    if team.is_first:
        state = {"state": {}, "run": {"steps_done": 1, "seconds": 0.0}}
        Checkpoints(folder=apart, fingerprint="").save(1, state)
    return {
        "told": team.told(10 + rank),
        "all_say": team.all_say(10 + rank),
        "alone": team.alone(lambda: appended(folder / "alone", f"{rank}")),
        "in_turn": team.in_turn(lambda: appended(folder / "in_turn", f"{rank}")),
        "first": met(lambda: team.in_turn(lambda: refused(team, 0))),
        "second": met(lambda: team.in_turn(lambda: refused(team, 1))),
        "unequal": met(lambda: next(run_in(team).steps(1)).draw(10, size=3)),
        "nan": met(lambda: stepped(run_in(team), torch.nan)),
        "unkept": met(lambda: stepped(run_in(team, folder=folder / "un"), 1.0, it=Unkept())),
        "apart": met(lambda: stepped(run_in(team, folder=apart, resume="latest"), 1.0)),
    }


def main() -> None:
    folder = Path(sys.argv[1])
    torch.set_num_threads(1)
    team = joined("cpu", Precision.FULL)
    made = {
        "gradient": gradient(run_in(team)),
        "weights": learnt(run_in(team, folder=folder / "two")),
        "resumed": learnt(run_in(team, folder=folder / "one", resume=HALF)),
    }
    heard = words(team, folder)
    team.part()
    (folder / f"heard{team.rank}.json").write_text(json.dumps(heard))
    for name, tensors in made.items():
        save_file({k: v.contiguous() for k, v in tensors.items()}, folder / f"{name}{team.rank}")


if __name__ == "__main__":
    main()
