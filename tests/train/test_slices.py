import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from hale.core.errors import Refused
from hale.core.method import Placed, Reconstructs
from hale.core.run import Precision
from hale.core.scan import Scan
from hale.nets.denoising_unet import DenoisingUNet
from hale.train.best import Best
from hale.train.residual import Residual
from hale.train.slices import axial, evenly, restored


class Negative(nn.Module):
    """Turns intensities round, and remembers how many slices it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[int] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen.append(len(x))
        return 1 - x


def test_slices_are_those_with_brain_and_in_their_place(healthy):
    scan = healthy[0]
    levels = np.flatnonzero(scan.brain.any((0, 1)))
    slices = axial([scan, healthy[1]])
    assert len(slices) == 2 * len(levels) == 28
    for n, k in enumerate(levels):
        np.testing.assert_array_equal(slices.x[n].numpy(), scan.image[..., k])
        np.testing.assert_array_equal(slices.brain[n, 0].numpy(), scan.brain[..., k])


def test_a_cohort_is_held_once(healthy):
    """Beside the result no more than a scan or two."""
    scans = [healthy[n % 3] for n in range(60)]
    tracemalloc.start()
    slices = axial(scans)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1.3 * (slices.x.nbytes + slices.brain.nbytes)


def test_no_brain_is_refused(healthy):
    scan = healthy[0]
    empty = replace_brain(scan, np.zeros_like(scan.brain))
    for scans in ([], [empty]):
        with pytest.raises(Refused, match="no slice contains brain"):
            axial(scans)


def test_a_few_slices_are_spread_over_all(healthy):
    slices = axial(healthy)
    few = evenly(slices, 4)
    assert torch.equal(few.x, slices.x[torch.tensor([0, 14, 28, 42])])
    assert len(evenly(slices, 1000)) == len(slices)


def test_a_restored_scan_is_whole_again(healthy):
    scan, net = healthy[0], Negative()
    image = restored(net, scan, device="cpu", precision=Precision.FULL)
    np.testing.assert_array_equal(image, np.where(scan.brain, 1 - scan.image, 0))
    assert net.seen == [8, 6]


@pytest.mark.parametrize("count", [1, 8, 9])
def test_any_number_of_slices_is_restored(count, healthy):
    scan = healthy[0]
    few = np.zeros_like(scan.brain)
    few[..., 2 : 2 + count] = scan.brain.any()
    some = replace_brain(scan, few)
    restored_ = restored(Negative(), some, device="cpu", precision=Precision.FULL)
    np.testing.assert_allclose(restored_[:, few], 1 - scan.image[:, few], atol=1e-6)


def test_a_scan_without_brain_is_refused_by_its_name(healthy):
    scan = replace_brain(healthy[0], np.zeros_like(healthy[0].brain))
    with pytest.raises(Refused, match="phantom-0"):
        Residual(net=Negative()).score(scan)


def test_a_detector_can_be_moved_and_owns_its_network(healthy):
    torch.manual_seed(0)
    net = DenoisingUNet(1, width=4)
    detector = Residual(net=net)
    assert isinstance(detector, Placed)
    assert isinstance(detector, Reconstructs)
    before = detector.score(healthy[0]).values
    half = replace(detector, precision=Precision.BF16)
    after = half.score(healthy[0]).values
    assert not np.array_equal(after, before)
    np.testing.assert_allclose(after, before, atol=0.1)
    nn.init.zeros_(net.head.weight)
    np.testing.assert_array_equal(detector.score(healthy[0]).values, before)


def test_best_keeps_the_lowest_and_survives_its_state():
    best, net = Best(), nn.Linear(1, 1)
    for step, (loss, value) in enumerate([(3.0, 30.0), (1.0, 10.0), (float("nan"), 0), (2.0, 20)]):
        nn.init.constant_(net.weight, value)
        best.offer(loss, net, step=step)
    again = Best()
    again.load_state_dict(best.state_dict())
    assert (again.loss, again.step) == (1.0, 1)
    again.give_to(net)
    assert net.weight.item() == 10


def test_best_without_an_offer_changes_nothing():
    net = nn.Linear(1, 1)
    before = net.weight.item()
    Best().give_to(net)
    assert net.weight.item() == before


def replace_brain(scan: Scan, brain: np.ndarray) -> Scan:
    return Scan(id=scan.id, space=scan.space, image=scan.image, brain=brain)
