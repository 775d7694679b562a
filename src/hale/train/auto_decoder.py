"""An implicit field and the codes of the brains that it learns from, learnt together.

Reference: Park et al. 2019, "DeepSDF", CVPR, arXiv:1901.05103; Naval Marimont and Tarroni 2021,
arXiv:2106.05214.
"""

from dataclasses import dataclass
from math import ceil, sqrt
from typing import Annotated, Any

import numpy as np
import torch
import torch.nn.functional as F
from annotated_types import Ge, Gt
from jaxtyping import Float, Int, UInt8
from torch import Tensor, nn

from hale.core.method import Training
from hale.core.run import Run
from hale.nets.implicit_field import CLASSES, ImplicitField
from hale.train.classes import Centres
from hale.train.points import Sampling, volumes_of

RAMP = 100
"""Epochs over which the penalty on codes rises to its full weight."""


class AutoDecoder(nn.Module):
    """A field, and one code for each of ``volumes`` brains: N(0, 1 / numbers), norm bounded."""

    def __init__(self, field: ImplicitField, volumes: int, *, bound: float) -> None:
        super().__init__()
        self.field = field
        self.codes = nn.Embedding(volumes, field.code, max_norm=bound)
        nn.init.normal_(self.codes.weight, std=1 / sqrt(field.code))

    def forward(
        self, which: Int[Tensor, " b"], position: Float[Tensor, "b n 3"]
    ) -> tuple[Float[Tensor, "b n logits"], Float[Tensor, "b code"]]:
        """Return logits, and the codes that they were made with."""
        codes = self.codes(which)
        return self.field(codes, position), codes

    def mean_code(self) -> Float[Tensor, " code"]:
        """Return the mean of the codes, each of them bounded."""
        codes = self.codes.weight.detach()
        return codes.renorm(2, 0, float(self.codes.max_norm or torch.inf)).mean(0)


class RowAdam(torch.optim.Adam):
    """Adam, but in groups marked ``rows`` a row without a gradient stays as it is, moments too.

    Kingma and Ba 2014, arXiv:1412.6980. Plain Adam lets the code of a brain that is not in the
    batch coast on its momentum.
    """

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """Step, and put back what had no part in it."""
        kept = [self._absent(p) for g in self.param_groups if g.get("rows") for p in g["params"]]
        loss = super().step(closure)
        for tables, absent, before in kept:
            for name, values in before.items():
                tables[name][absent] = values
        return loss

    def _absent(self, table: nn.Parameter) -> tuple[dict[str, Tensor], Tensor, dict[str, Tensor]]:
        """Return a table and its moments, which rows have no gradient, and what these rows are."""
        moments = self.state[table]
        if not moments:  # as Adam would begin, so that the first step is no exception
            moments["step"] = torch.tensor(0.0)
            moments["exp_avg"] = torch.zeros_like(table)
            moments["exp_avg_sq"] = torch.zeros_like(table)
        assert table.grad is not None
        absent = ~table.grad.any(1)
        tables = {
            "": table.data,
            "exp_avg": moments["exp_avg"],
            "exp_avg_sq": moments["exp_avg_sq"],
        }
        return tables, absent, {name: values[absent] for name, values in tables.items()}


@dataclass(frozen=True, kw_only=True)
class Growth(Sampling):
    """Settings of the network and how it is learnt. A method inherits them."""

    code: Annotated[int, Ge(1)] = 256
    """Numbers that tell one brain from another."""
    width: Annotated[int, Ge(1)] = 512
    """Of the hidden layers; more than ``code`` and six times ``frequencies`` together."""
    frequencies: Annotated[int, Ge(1)] = 10
    """Sines, and cosines, per axis: 2^0 pi, 2^1 pi, ..."""
    dropout: Annotated[float, Ge(0)] = 0.2
    """Share of each hidden layer that training drops."""
    bound: Annotated[float, Gt(0)] = 1.0
    """Largest norm of a code."""
    lr: Annotated[float, Gt(0)] = 5e-4
    """Learning rate of the network; that of codes is ``code_lr`` times it."""
    code_lr: Annotated[float, Gt(0)] = 2.0
    """Learning rate of codes, in learning rates of the network."""
    halve_every: Annotated[int, Ge(1)] = 500
    """Epochs after which both are halved."""
    epochs: Annotated[int, Ge(1)] = 2001
    """Passes over the cohort. A time budget shortens each, so that halvings keep their share."""
    volumes: Annotated[int, Ge(1)] = 6
    """Brains per step."""
    points: Annotated[int, Ge(1)] = 16_384
    """Of each brain in a step."""
    penalty: Annotated[float, Ge(0)] = 1e-4
    """Weight of a code's norm beside the mean cross-entropy, full after 100 epochs."""
    sparse: bool = True
    """Leave the codes of brains that are not in the batch alone."""

    def field(self, contrasts: int, *, normed: bool) -> ImplicitField:
        """Return the network, untaught."""
        return ImplicitField(
            contrasts,
            code=self.code,
            width=self.width,
            frequencies=self.frequencies,
            dropout=self.dropout,
            normed=normed,
        )

    def grow(self, training: Training, centres: Centres, run: Run) -> AutoDecoder:
        """Learn field and codes from healthy scans.

        Dropout, weight norm and all rates are the reference's; the loss is the mean over points
        where the reference has the sum, which Adam does not notice.
        """
        volumes = volumes_of(training.healthy, centres, self)
        where = torch.from_numpy(self.positions(training.space.grid))
        field = self.field(len(training.space.slots), normed=True)
        own = AutoDecoder(field, len(volumes), bound=self.bound)
        net, adam = run.setup(own, self._optimiser(own))
        per_epoch = ceil(len(volumes) / self.volumes)
        for step in run.steps(self.epochs * per_epoch, net=net, adam=adam):
            epoch = epoch_of(step.progress, self.epochs)
            self.set_rates(adam, epoch)
            which = step.draw(len(volumes), size=self.volumes)
            rng = np.random.default_rng(int(torch.randint(2**62, (), generator=step.generator)))
            drawn = torch.stack([volumes[n].draw(self.points, self.inside, rng) for n in which])
            classes = torch.stack(
                [volumes[n].classes[at] for n, at in zip(which, drawn, strict=True)]
            )
            logits, codes = net.train()(which.to(run.device), where[drawn].to(run.device))
            loss = cross_entropy(logits, classes.to(run.device)).mean()
            weight = self.penalty * min(1.0, epoch / RAMP)
            step.descend(loss + weight * codes.norm(dim=1).mean(), clip=0.0)
        return own

    def set_rates(self, adam: Any, epoch: int) -> None:
        """Give the network (first group) and the codes (second) the rates of an epoch."""
        rate = self.lr * 0.5 ** (epoch // self.halve_every)
        adam.param_groups[0]["lr"] = rate
        adam.param_groups[1]["lr"] = self.code_lr * rate

    def _optimiser(self, own: AutoDecoder) -> torch.optim.Adam:
        groups: list[dict[str, Any]] = [
            {"params": list(own.field.parameters())},
            {"params": list(own.codes.parameters()), "rows": self.sparse},
        ]
        return RowAdam(groups, lr=self.lr)


def epoch_of(progress: float, epochs: int) -> int:
    """Return the epoch, counted from 1, of a run of which ``progress`` is behind."""
    return 1 + int(progress * epochs + 1e-6)  # 176/352176 is a hair below 1/2001


def cross_entropy(
    logits: Float[Tensor, "*b logits"], classes: UInt8[Tensor, "*b contrast"]
) -> Float[Tensor, "*b"]:
    """Return -log p of the observed classes, mean over contrasts."""
    log_p = F.log_softmax(logits.float().unflatten(-1, (-1, CLASSES)), -1)
    return -log_p.gather(-1, classes.long()[..., None]).squeeze(-1).mean(-1)
