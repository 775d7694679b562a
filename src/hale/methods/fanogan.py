"""f-AnoGAN: a generator that knows only healthy slices, and an encoder that finds its way there.

Reference: Schlegl, Seeböck, Waldstein, Langs and Schmidt-Erfurth 2019, "f-AnoGAN: Fast unsupervised
anomaly detection with generative adversarial networks", Medical Image Analysis 54:30-44,
DOI 10.1016/j.media.2019.01.010.

The networks are those of Baur et al. 2021 (DOI 10.1016/j.media.2020.101952); the first phase is
WGAN-GP (Gulrajani et al. 2017, arXiv:1704.00028), the second the encoder training ``izi_f``.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import KW_ONLY, dataclass
from typing import Annotated, Any, ClassVar, Generic, TypeVar

import torch
import torch.nn.functional as F
from annotated_types import Ge, Lt
from jaxtyping import Float
from torch import Generator as Draw
from torch import Tensor, nn

from hale.core.method import State, Supervision, Training
from hale.core.run import Run, Step
from hale.core.scan import Space
from hale.nets.blocks import padded
from hale.nets.gan import MULTIPLE, Critic, Generator, LatentEncoder, Restorer
from hale.nets.state import load
from hale.train.best import Best
from hale.train.device import arithmetic
from hale.train.learn import Lessons, Schedule, held_out_loss
from hale.train.residual import Residual
from hale.train.slices import Slices, axial, evenly

BETAS = (0.5, 0.9)
"""Of Adam."""


@dataclass(frozen=True, kw_only=True)
class FAnoGAN(Lessons):
    """Map slices to a GAN's healthy ones; score the residual |x - G(E(x))|.

    A step is one update of one network. Of the updates of the first phase one in
    ``critic_steps`` + 1 teaches the generator, the others the critic; the second phase teaches the
    encoder, as many times as the generator was. With five critic steps that is one step in seven.
    The run's progress decides the phase, so a time budget cuts both in this proportion.

    The image score of the paper (image error + ``kappa`` x feature error) is the encoder's loss; a
    scan is scored as with the other methods, from its map.
    """

    supervision: ClassVar[Supervision] = Supervision.HEALTHY

    latent: Annotated[int, Ge(1)] = 128
    """Numbers that a slice is generated from; N(0, 1) while the generator learns."""
    width: Annotated[int, Ge(2)] = 32
    """Channels of the finest of three levels; the coarsest has four times as many."""
    dropout: Annotated[float, Ge(0), Lt(1)] = 0.0
    """Share of the latent, and of what is built from it, that training drops."""
    clip: Annotated[float, Ge(0)] = 0.0
    """Largest norm of the gradient; 0: not limited."""
    steps: Annotated[int, Ge(1)] = 134_400
    """Updates of a network: 19,200 of the generator and the encoder each, 96,000 of the critic."""
    critic_steps: Annotated[int, Ge(1)] = 5
    """Updates of the critic for each of the generator."""
    penalty: Annotated[float, Ge(0)] = 10.0
    """Weight of the gradient penalty."""
    kappa: Annotated[float, Ge(0)] = 1.0
    """Weight of the critic's features in the encoder's loss."""
    fresh: bool = True
    """Draw new slices for each update of the critic; off: the same ones until the generator's turn,
    as in the public code."""
    whole_gradient: bool = True
    """Penalise the norm over all pixels; off: over one axis, as in the public code (a defect)."""

    def __post_init__(self) -> None:
        """Refuse a schedule, as the rate of the three Adams is constant, and averaged weights."""
        super().__post_init__()
        if self.schedule is not Schedule.CONSTANT:
            raise ValueError(f"schedule: '{self.schedule}' is not to be had, only 'constant'")
        if self.ema:
            raise ValueError(f"ema: {self.ema} is not to be had, only 0")

    def fit(self, training: Training, run: Run) -> Residual:
        """Teach critic and generator in turn, then the encoder; keep its best on held-out scans."""
        torch.manual_seed(run.seed)
        trio = self._trio(training.space, run)
        own = trio.encoder.own
        slices = axial(training.healthy)
        held_out = training.held_out
        fixed = evenly(axial(held_out), self.validate_slices) if held_out else None
        best = Best()
        for step in run.steps(self.steps, best=best, **trio.state()):
            trio.update(slices, step)
            if fixed and trio.is_second(step) and (step.number + 1) % self.validate_every == 0:
                loss = held_out_loss(own, fixed, trio.encoder_loss, device=run.device)
                best.offer(loss, own, step=step.number)
                run.log(held_out=loss)
        if fixed:  # a budget may have cut the run since
            loss = held_out_loss(own, fixed, trio.encoder_loss, device=run.device)
            best.offer(loss, own, step=self.steps)
        best.give_to(own)
        net = Restorer(own, trio.generator.own)
        return Residual(net=net, device=run.device, precision=run.precision)

    def restore(self, state: State, space: Space) -> Residual:
        """Rebuild encoder and generator and load their weights."""
        generator, _, encoder = self._networks(space)
        net = Restorer(encoder, generator)
        load(net, state)
        return Residual(net=net)

    def _networks(self, space: Space) -> tuple[Generator, Critic, LatentEncoder]:
        i, j, _ = space.grid.shape
        plane = (i + -i % MULTIPLE, j + -j % MULTIPLE)
        contrasts, width = len(space.slots), self.width
        return (
            Generator(contrasts, plane, latent=self.latent, width=width, dropout=self.dropout),
            Critic(contrasts, plane, width=width),
            LatentEncoder(contrasts, plane, latent=self.latent, width=width, dropout=self.dropout),
        )

    def _trio(self, space: Space, run: Run) -> "Trio":
        generator, critic, encoder = self._networks(space)
        return Trio(
            self,
            run,
            generator=taught(generator, run, lr=self.lr),
            critic=taught(critic, run, lr=self.lr),
            encoder=taught(encoder, run, lr=self.lr),
        )


Net = TypeVar("Net", bound=nn.Module)


@dataclass(frozen=True)
class Taught(Generic[Net]):
    """A network that a run teaches."""

    own: Net
    """Bare: to compute with while another one learns."""
    net: Any
    """As the run wraps it: to learn."""
    adam: Any


def taught(own: Net, run: Run, *, lr: float) -> Taught[Net]:
    """Set ``own`` up with the Adam of WGAN-GP."""
    net, adam = run.setup(own, torch.optim.Adam(own.parameters(), lr=lr, betas=BETAS))
    return Taught(own, net, adam)


@dataclass(frozen=True)
class Trio:
    """The three networks, and how each is taught."""

    method: FAnoGAN
    run: Run
    _: KW_ONLY
    generator: Taught[Generator]
    critic: Taught[Critic]
    encoder: Taught[LatentEncoder]

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint keeps of them."""
        return {
            "generator": self.generator.net,
            "generator_adam": self.generator.adam,
            "critic": self.critic.net,
            "critic_adam": self.critic.adam,
            "encoder": self.encoder.net,
            "encoder_adam": self.encoder.adam,
        }

    def is_second(self, step: Step) -> bool:
        """Say whether it is the encoder that learns."""
        round_length = self.method.critic_steps + 1
        return step.progress >= round_length / (round_length + 1)

    def update(self, slices: Slices, step: Step) -> None:
        """Teach the one whose turn it is."""
        turn = step.number % (self.method.critic_steps + 1)
        if self.is_second(step):
            self.teach_encoder(self._drawn(slices, step), step)
        elif turn == self.method.critic_steps:
            self.teach_generator(step)
        else:
            first = None if self.method.fresh else step.number - turn
            self.teach_critic(self._drawn(slices, step, of=first), step)

    def teach_critic(self, slices: Slices, step: Step) -> None:
        """Tell real slices from generated ones, with slopes of norm 1 between them (WGAN-GP)."""
        x = padded(slices.x, MULTIPLE)
        critic = self.critic.own if self.method.whole_gradient else self.critic.own.patches
        share = torch.rand(len(x), 1, 1, 1, generator=step.generator).to(x.device)
        with torch.no_grad(), self._arithmetic():
            fake = self.generator.own(self._latents(len(x), step)).float()
        with self._arithmetic():
            between = torch.lerp(x, fake, share)
            penalty = gradient_penalty(critic, between, whole=self.method.whole_gradient)
        scores = self.critic.net.train()(torch.cat([fake, x]))
        loss = scores[: len(x)].mean() - scores[len(x) :].mean() + self.method.penalty * penalty
        step.descend(loss, self.critic.adam, clip=self.method.clip, name="critic_loss")

    def teach_generator(self, step: Step) -> None:
        """Generate slices that the critic holds for real."""
        fake = self.generator.net.train()(self._latents(self.method.batch, step))
        with frozen(self.critic.own), self._arithmetic():
            loss = -self.critic.own(fake).float().mean()
        step.descend(loss, self.generator.adam, clip=self.method.clip, name="generator_loss")

    def teach_encoder(self, slices: Slices, step: Step) -> None:
        """Find the numbers of real slices."""
        loss = self.encoder_loss(self.encoder.net.train(), slices, step.generator)
        step.descend(loss, self.encoder.adam, clip=self.method.clip, name="encoder_loss")

    def encoder_loss(self, net: nn.Module, slices: Slices, draw: Draw) -> Float[Tensor, ""]:
        """Return the error of G(E(x)) + kappa x that of its features; nothing is drawn."""
        x = padded(slices.x, MULTIPLE)
        critic = self.critic.own
        generate = self.generator.own.train(net.training)
        with frozen(critic, generate), self._arithmetic():
            x_hat = generate(net(x))
            features, known = critic.features(x_hat), critic.features(x)
        error = F.mse_loss(x_hat.float(), x)
        return error + self.method.kappa * F.mse_loss(features.float(), known.float())

    def _drawn(self, slices: Slices, step: Step, of: int | None = None) -> Slices:
        return slices[step.draw(len(slices), size=self.method.batch, of=of)].to(self.run.device)

    def _latents(self, count: int, step: Step) -> Float[Tensor, "b z"]:
        z = torch.randn(count, self.method.latent, generator=step.generator)
        return z.to(self.run.device)

    def _arithmetic(self) -> AbstractContextManager[None]:
        return arithmetic(self.run.device, self.run.precision)


def gradient_penalty(
    critic: Callable[[Tensor], Tensor], x: Float[Tensor, "b c i j"], *, whole: bool = True
) -> Float[Tensor, ""]:
    """Return how far the norm of the critic's slope at ``x`` is from 1, squared, mean over slices.

    Args:
        critic: Its scores are summed.
        x: Between real and generated slices.
        whole: Take the norm over all pixels of a slice; else along i alone, and the mean over j.
    """
    x = x.detach().requires_grad_()
    (slope,) = torch.autograd.grad(critic(x).sum(), x, create_graph=True)
    norm: Tensor = torch.linalg.vector_norm(slope, dim=(1, 2, 3) if whole else 2)
    return (norm - 1).square().mean()


@contextmanager
def frozen(*nets: nn.Module) -> Iterator[None]:
    """Let gradients pass through ``nets``, and none be kept for their weights."""
    for net in nets:
        net.requires_grad_(requires_grad=False)
    try:
        yield
    finally:
        for net in nets:
            net.requires_grad_(requires_grad=True)
