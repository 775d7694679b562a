"""What the contexts set can be seen without a GPU; what cuDNN makes of it cannot."""

import pytest
import torch

from hale.core.run import Precision
from hale.nets.sequential_vae import SequentialVAE
from hale.train.device import arithmetic, repeatable
from hale.train.run import FabricRun

CUDNN = torch.backends.cudnn


def flags() -> tuple[bool, bool, bool]:
    return CUDNN.deterministic, CUDNN.benchmark, CUDNN.allow_tf32


@pytest.fixture(autouse=True)
def others_before_and_after():
    before = (False, True, True)
    with CUDNN.flags(enabled=True, deterministic=False, benchmark=True, allow_tf32=True):
        yield
        assert flags() == before


@pytest.mark.parametrize("precision", [Precision.FULL, Precision.BF16])
def test_the_same_each_time_and_full_is_not_tf32(precision):
    half = precision is Precision.BF16
    for context in (repeatable(precision), arithmetic("cpu", precision)):
        with context:
            assert flags() == (True, False, half)
            assert CUDNN.enabled
    with arithmetic("cpu", precision):
        made = torch.ones(2, 2) @ torch.ones(2, 2)
    assert made.dtype == (torch.bfloat16 if half else torch.float32)


def test_steps_are_taken_so():
    run = FabricRun(device="cpu", precision=Precision.FULL)
    assert [flags() for _ in run.steps(2)] == [(True, False, False)] * 2


def test_steps_that_are_left_early_leave_nothing_behind():
    run = FabricRun(device="cpu", precision=Precision.FULL)
    for _ in run.steps(2):
        break


@pytest.mark.parametrize("training", [True, False])
def test_memory_takes_cudnn_only_to_learn(training):
    """It refuses the gradient of a recurrent layer in evaluation mode, which scores need."""
    net, seen = SequentialVAE(1, (16, 16), latent=4, width=4).train(training), []
    net.neighbours.register_forward_pre_hook(lambda *_: seen.append(CUDNN.enabled))
    with arithmetic("cpu", Precision.FULL):
        net(torch.rand(3, 1, 16, 16))
    assert seen == [training]
