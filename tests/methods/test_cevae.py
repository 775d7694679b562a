import pytest
import torch

from hale.core.method import Training
from hale.core.run import Precision
from hale.methods.cevae import CEVAE, Target, filling_error, squares
from hale.nets.latent import Passed
from hale.train.run import FabricRun
from hale.train.slices import Slices, axial


def draw(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def brains(count: int = 200) -> torch.Tensor:
    brain = torch.zeros(count, 1, 96, 96, dtype=torch.bool)
    brain[:, :, 20:70, 10:80] = True
    return brain


def test_defaults_are_the_specified_ones():
    method = CEVAE()
    assert (method.latent, method.width, method.edge, method.beta) == (128, 32, 15, 1.0)
    assert (method.lr, method.batch, method.steps) == (1e-4, 32, 19_200)
    assert method.target is Target.CLEAN


def test_one_to_three_squares_inside_the_box_of_the_brain():
    holes = squares(brains(), edge=15, draw=draw())
    areas = holes.sum((1, 2, 3))
    assert areas.min() == 15 * 15
    assert areas.max() <= 3 * 15 * 15
    assert (areas == 225).float().mean() == pytest.approx(1 / 3, abs=0.1)
    assert not holes[~brains()].any()
    assert holes[:, :, 20].any()  # they reach both ends of the box
    assert holes[:, :, 69].any()


def test_a_square_larger_than_the_brain_covers_it():
    brain = torch.zeros(3, 1, 16, 16, dtype=torch.bool)
    brain[:, :, 5:8, 5:9] = True
    holes = squares(brain, edge=6, draw=draw())
    assert holes[brain].all()


def test_squares_depend_on_the_draw_alone():
    assert torch.equal(
        squares(brains(), edge=15, draw=draw()), squares(brains(), edge=15, draw=draw())
    )
    assert not torch.equal(
        squares(brains(), edge=15, draw=draw()), squares(brains(), edge=15, draw=draw(1))
    )


def test_the_clean_slice_is_what_is_wanted():
    x = torch.rand(2, 1, 96, 96) + 0.1
    holes = squares(brains(2), edge=15, draw=draw())
    assert filling_error(x, x, holes) == 0
    assert filling_error(x * ~holes, x, holes) > 0
    assert filling_error(x * ~holes, x, holes, Target.CORRUPTED) == 0


class Told(torch.nn.Module):
    """Returns what it is told, whatever it is shown; remembers what it was shown."""

    def __init__(self, answer: torch.Tensor) -> None:
        super().__init__()
        self.answer = answer
        self.shown: list[tuple[torch.Tensor, bool]] = []

    def forward(self, x: torch.Tensor, draw: torch.Generator | None = None) -> Passed:
        self.shown.append((x, draw is not None))
        return Passed(self.answer, torch.zeros(len(x)))


def test_loss_is_0_for_the_clean_slice_although_the_input_has_holes():
    x = (torch.rand(2, 1, 96, 96) + 0.1) * brains(2)
    net = Told(x)
    assert CEVAE().loss(net, Slices(x, brains(2)), draw()) == 0
    (clean, is_sampled), (holed, is_context_sampled) = net.shown
    assert torch.equal(clean, x)
    assert (is_sampled, is_context_sampled) == (True, False)
    assert (holed == 0)[brains(2)].any()


def test_filling_has_its_share_of_the_loss():
    x, answer = torch.rand(2, 1, 96, 96), torch.zeros(2, 1, 96, 96)
    slices, net = Slices(x, brains(2)), Told(answer)
    error = float(x.sum((1, 2, 3)).mean())
    for share in (0.0, 0.5, 1.0):
        loss = CEVAE(share=share).loss(net, slices, draw())
        assert float(loss) == pytest.approx(error, rel=1e-5)
    corrupted = CEVAE(share=1.0, target=Target.CORRUPTED).loss(net, slices, draw())
    assert float(corrupted) < error


def test_learns_to_fill_holes(healthy):
    method = CEVAE(latent=8, width=4, lr=1e-2, batch=8, steps=80, edge=4)
    run = FabricRun(device="cpu", precision=Precision.FULL)
    detector = method.fit(Training(space=healthy[0].space, healthy=healthy), run)
    slices = axial(healthy[:1])
    holes = squares(slices.brain, edge=4, draw=draw())
    with torch.no_grad():
        x_hat = detector.net(slices.x * ~holes).x_hat
    where = holes & slices.brain
    assert (x_hat - slices.x)[where].abs().mean() < 0.5 * slices.x[where].abs().mean()
