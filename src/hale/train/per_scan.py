"""The detector that learns from each scan as it scores it: fresh networks, slab by slab."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from multiprocessing import parent_process

import numpy as np
import torch
from jaxtyping import Float
from torch import Generator, Tensor

from hale.core.anomaly import AnomalyMap
from hale.core.errors import Refused
from hale.core.method import State
from hale.core.run import Precision
from hale.core.scan import Scan
from hale.core.types import Image, Map, Mask
from hale.train.best import Best
from hale.train.exercise import Exercise, exercise
from hale.train.progress import Report, reporting
from hale.train.published_rule import published_verdict
from hale.train.single_scan import Place, Pupil, ScanLessons
from hale.train.slabs import Levels, Slab, evenly

WATCHED = 8
"""Slices that are watched for early stopping, at most."""


@dataclass(frozen=True, kw_only=True)
class PerScan:
    """Trains on the scan it is given; two calls with one scan give the same result."""

    lessons: ScanLessons
    device: str = "cpu"
    precision: Precision = Precision.FULL
    seed: int = 0

    def score(self, scan: Scan) -> AnomalyMap:
        """Return |x - x_hat|, mean over contrasts, standardised within the scored brain.

        It counts from the median in robust standard deviations; what lies below the median is 0.
        """
        done = restoration(self, scan, 0)
        values = standardised(done.task.image_of(done.error)[0], done.task.scored(scan.brain))
        return AnomalyMap(values=values, brain=scan.brain, pseudo_healthy=done.within(scan.brain))

    def reconstruct(self, scan: Scan, *, draw: int = 0, level: int | None = None) -> Image:
        """Return x_hat; each draw is of networks trained anew. There are no levels.

        Slices that are not scored are 0.
        """
        return restoration(self, scan, draw).within(scan.brain)

    def state(self) -> State:
        """Return nothing: what is learnt belongs to one scan, and is gone after it."""
        return {}

    def remarks(self, scan: Scan) -> tuple[str, ...]:
        """Return what was scored by a model that saw it, and what was not scored."""
        task = exercise(scan, self.lessons)
        told = []
        if len(task.slabs) == 1 and task.slabs[0].learn is task.slabs[0].score:
            told.append(
                "no cross-fitting: the networks learnt from the slices that they score, and may"
                " have learnt what is abnormal there"
            )
        count = len(task.levels)
        brain = int(scan.brain.any(tuple(n for n in range(3) if n != task.axis)).sum())
        if count < brain:
            told.append(f"{count} of {brain} slices scored, the one with most brain: 0 elsewhere")
        if self.lessons.rule_sd:
            error = restoration(self, scan, 0).error[task.levels].numpy()
            sds, cutoff = self.lessons.rule_sd, self.lessons.rule_share
            told.append(published_verdict(error, sds=sds, cutoff=cutoff))
        return tuple(told)

    def estimate(self, scan: Scan) -> float:
        """Return about how many seconds `score` takes at most, from a few steps on this machine."""
        task, place = exercise(scan, self.lessons), self.place
        with place.seeded(self.seed) as draw:
            pupil = self.lessons.pupil(task.x.shape[1], place)
            slab = task.slabs[0]
            chosen = drawn(slab.learn, self.lessons.batch, draw)
            step = fastest(lambda: pupil.learn(task.x[chosen], draw))
            look = fastest(lambda: pupil.look(task.x[evenly(slab.watch, WATCHED)]))
            restore = pupil.seconds_to_restore(task.x[slab.score])
        lessons = self.lessons
        looks = lessons.epochs // lessons.check_every if lessons.patience else 0
        steps = lessons.epochs * lessons.steps_per_epoch
        return len(task.slabs) * (steps * step + looks * look + restore)

    @property
    def place(self) -> Place:
        """Return where the networks are."""
        return Place(device=self.device, precision=self.precision)

    def teach(
        self, pupil: Pupil, task: Exercise, slab: Slab, draw: Generator, told: Callable[[int], None]
    ) -> None:
        """Train until the watched slices are restored no better; leave the best weights.

        Args:
            pupil: Fresh; trained in place.
            task: The scan.
            slab: Of it, what may be learnt from and what is watched.
            draw: For order, augmentation and latents.
            told: The epochs that are done.
        """
        lessons, best = self.lessons, Best()
        count = lessons.steps_per_epoch
        watched = task.x[evenly(slab.watch, WATCHED)]
        for epoch in range(1, lessons.epochs + 1):
            order = drawn(slab.learn, count * lessons.batch, draw)
            for chosen in np.split(order, count):
                pupil.learn(lessons.augmentation.of(task.x[chosen], draw), draw)
            told(epoch)
            if lessons.patience and epoch % lessons.check_every == 0:
                best.offer(pupil.look(watched), pupil.net, step=epoch)
                if epoch - best.step >= lessons.patience * lessons.check_every:
                    break
        best.give_to(pupil.net)


@dataclass(frozen=True, kw_only=True, eq=False)
class Restoration:
    """A scan as networks restored it that learnt from it."""

    task: Exercise
    x_hat: Float[Tensor, "n c s s"]
    """0 where slices are not scored."""

    @property
    def error(self) -> Float[Tensor, "n 1 s s"]:
        """Return |x - x_hat|, mean over contrasts, on the square."""
        return (self.task.x - self.x_hat).abs().mean(1, keepdim=True)

    def within(self, brain: Mask) -> Image:
        """Return x_hat on the scan's grid, 0 outside what is scored."""
        image = self.task.image_of(self.x_hat)
        shown: Image = np.where(self.task.scored(brain), image, np.float32(0))
        return shown


@lru_cache(maxsize=1)  # map, picture and remarks of one scan are asked for one after the other
def restoration(detector: PerScan, scan: Scan, draw: int) -> Restoration:
    """Train and restore slab by slab, all of it seeded by (seed, content, draw, slab)."""
    lessons, place = detector.lessons, detector.place
    task = exercise(scan, lessons)
    x_hat = torch.zeros_like(task.x)
    key, total = int(scan.content[:16], 16), len(task.slabs) * lessons.epochs
    with reporting(total, quiet=parent_process() is not None) as report:
        for number, slab in enumerate(task.slabs):
            with place.seeded(detector.seed, key, draw, number) as noise:
                pupil = lessons.pupil(task.x.shape[1], place)
                told = partial(_report, report, number * lessons.epochs, total)
                detector.teach(pupil, task, slab, noise, told)
                x_hat[slab.score] = pupil.restored(task.x[slab.score], noise)
    return Restoration(task=task, x_hat=x_hat)


def _report(report: Report, before: int, total: int, epoch: int) -> None:
    report(before + epoch, (before + epoch) / total)


def drawn(levels: Levels, count: int, draw: Generator) -> Levels:
    """Return ``count`` slices in random order, each as often as any other or once more."""
    rounds = -(-count // len(levels))
    orders = [torch.randperm(len(levels), generator=draw) for _ in range(rounds)]
    chosen: Levels = levels[torch.cat(orders).numpy()[:count]]
    return chosen


def standardised(error: Map, scored: Mask) -> Map:
    """Return how far errors lie above their median, in robust standard deviations; 0 or more.

    Raises:
        Refused: An error is NaN or infinite.
    """
    inside = error[scored]
    if not np.isfinite(inside).all():
        raise Refused("training on this scan", "diverged", "lower method.lr")
    centre = np.median(inside)
    spread = 1.4826 * np.median(np.abs(inside - centre))
    z = (error - centre) / max(float(spread), 1e-6)
    return np.where(scored, z.clip(0), 0).astype(np.float32)


def fastest(work: Callable[[], object], *, times: int = 3) -> float:
    """Return the least seconds that ``work`` takes: first and disturbed times are longer."""
    clock = [time.perf_counter()]
    for _ in range(times):
        work()
        clock.append(time.perf_counter())
    return float(np.diff(clock).min())
