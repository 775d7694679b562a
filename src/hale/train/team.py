"""The processes that share a training: started by torchrun, by Slurm or by this one.

Processes exchange what they decide and what they are refused on the CPU, apart from gradients: one
may wait for hours while the first prepares a cohort, and a GPU is not stopped by it.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning_fabric.utilities.exceptions import MisconfigurationException

from hale.core.errors import Refused, RefusedElsewhere
from hale.core.run import Device, Precision
from hale.train.device import resolve_device, resolve_precision

Result = TypeVar("Result")

PATIENCE = timedelta(days=30)
"""How long a process waits for what the first does alone."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Team:
    """The processes that share a training, of which this is one."""

    fabric: Fabric
    precision: Precision
    """As resolved."""
    messages: Any = None
    """The group that words pass through; None: this process is alone."""

    @property
    def device(self) -> str:
        """Return where this process computes, as torch calls it."""
        return str(self.fabric.device)

    @property
    def rank(self) -> int:
        """Return which of the processes this is, from 0."""
        return self.fabric.global_rank

    @property
    def size(self) -> int:
        """Return how many processes there are."""
        return self.fabric.world_size

    @property
    def is_first(self) -> bool:
        """Say whether this is the process that prepares, writes and speaks."""
        return self.rank == 0

    def told(self, value: Result) -> Result:
        """Return the first process's ``value``."""
        if self.messages is None:
            return value
        words = [value]
        dist.broadcast_object_list(words, src=0, group=self.messages)
        return words[0]

    def all_say(self, value: Result) -> list[Result]:
        """Return the ``value`` of each process."""
        if self.messages is None:
            return [value]
        words = [value] * self.size
        dist.all_gather_object(words, value, group=self.messages)
        return words

    def alone(self, work: Callable[[], Result]) -> Result | None:
        """Have the first process do ``work`` while the others wait; they are given None.

        Raises:
            Refused: The work was; the others end too.
        """
        return self._settled(work if self.is_first else nothing)

    def in_turn(self, work: Callable[[], Result]) -> Result:
        """Do ``work`` in each process, in the first one before the others: they find what it kept.

        Raises:
            Refused: Here; in another process it is `RefusedElsewhere`.
        """
        if self.is_first:
            made = self._settled(work)
            self._settled(nothing)
            return made
        self._settled(nothing)
        return self._settled(work)

    def common(self, refusal: Refused) -> Refused:
        """Return what all processes are to raise that meet the same: one speaks for all."""
        return refusal if self.is_first else RefusedElsewhere(*refusal.args)

    def part(self) -> None:
        """Let the processes go their own ways; all call it."""
        if self.messages is not None:
            dist.destroy_process_group()

    def _settled(self, work: Callable[[], Result]) -> Result:
        """Return what ``work`` gives once no process has been refused its own."""
        result: Result
        refusal = None
        try:
            result = work()
        except Refused as error:
            refusal = error
        told = [said for said in self.all_say(refusal and refusal.args) if said]
        if refusal is not None:
            raise refusal
        if told:
            raise RefusedElsewhere(*told[0])
        return result


def joined(device: str, precision: str, *, devices: int = 0, nodes: int = 0) -> Team:
    """Find the other processes, or start them; return once all are there.

    Args:
        device: ``auto``, ``cpu`` or ``cuda``.
        precision: ``auto``, ``32`` or ``bf16-mixed``.
        devices: Processes on each machine; 0: as many as torchrun or Slurm has started, else 1.
            Without either, the others are started from here, by the same command.
        nodes: Machines; 0: likewise.

    Raises:
        Refused: The device is not there, or the processes are not so many.
    """
    accelerator = resolve_device(device)
    resolved = resolve_precision(precision, accelerator)
    started = processes_started()
    devices = devices or each_machines(max(1, started // (nodes or 1)), accelerator)
    nodes = nodes or max(1, started // devices)
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    try:
        fabric = Fabric(
            accelerator=accelerator.value,
            devices=devices,
            num_nodes=nodes,
            precision="bf16-mixed" if resolved is Precision.BF16 else "32-true",
        )
        if max(started, devices * nodes) > 1:
            fabric.launch()
    except (ValueError, MisconfigurationException) as error:
        what = f"--devices {devices} --nodes {nodes}"
        remedy = "give the processes on each machine, and the machines"
        raise Refused(what, " ".join(str(error).split()), remedy) from None
    if fabric.world_size == 1:
        return Team(fabric=fabric, precision=resolved)
    group = dist.new_group(backend="gloo", timeout=PATIENCE)
    return Team(fabric=fabric, precision=resolved, messages=group)


def processes_started() -> int:
    """Return how many processes torchrun or Slurm has started for this work; 1 if neither has.

    Raises:
        Refused: Slurm does not say how many there are on each machine.
    """
    for environment in (TorchElasticEnvironment, SLURMEnvironment):
        if environment.detect():
            try:
                return int(environment().world_size())
            except RuntimeError as error:
                why = " ".join(str(error).split())
                raise Refused("processes", why, "start them by srun --ntasks-per-node") from None
    return 1


def each_machines(processes: int, accelerator: Device) -> int:
    """Return a number of processes that each machine can have, however many machines there are.

    With GPUs it is the largest divisor of all processes for which there are GPUs here: 6 processes
    on machines of 4 GPUs are 3 on each. Without, all could be on one.
    """
    if accelerator is not Device.CUDA:
        return processes
    most = min(processes, torch.cuda.device_count())
    return max(n for n in range(1, most + 1) if processes % n == 0)


def nothing() -> None:
    """Do nothing, while another process does something."""
