import numpy as np
import pytest
import torch

from hale.core.method import Training
from hale.core.run import Precision
from hale.nets.implicit_field import CLASSES, ImplicitField
from hale.train.auto_decoder import AutoDecoder, Growth, RowAdam, cross_entropy, epoch_of
from hale.train.classes import Palette, centres_of
from hale.train.run import FabricRun

TINY = {"code": 8, "width": 48, "frequencies": 4}
STEPS = 176  # of an epoch: 1055 brains, 6 in a step


def tiny_decoder(volumes: int = 4) -> AutoDecoder:
    torch.manual_seed(0)
    return AutoDecoder(ImplicitField(**TINY), volumes, bound=1.0)


def test_rates_by_epoch():
    growth, decoder = Growth(), tiny_decoder()
    adam = growth._optimiser(decoder)
    for epoch, rate in {1: 5e-4, 500: 2.5e-4, 1000: 1.25e-4, 1500: 6.25e-5, 2000: 3.125e-5}.items():
        growth.set_rates(adam, epoch)
        assert [group["lr"] for group in adam.param_groups] == [rate, 2 * rate]


def test_epochs_of_a_run_begin_at_their_first_step():
    total = 2001 * STEPS
    for epoch in (1, 2, 499, 500, 1000, 2001):
        assert epoch_of((epoch - 1) * STEPS / total, 2001) == epoch
        assert epoch_of((epoch * STEPS - 1) / total, 2001) == epoch


def test_codes_begin_with_norms_about_1():
    decoder = AutoDecoder(ImplicitField(), 1055, bound=1.0)
    assert float(decoder.codes.weight.detach().std()) == pytest.approx(1 / 16, rel=0.01)


def test_codes_in_a_batch_are_brought_within_the_bound():
    decoder = tiny_decoder()
    with torch.no_grad():
        decoder.codes.weight.fill_(1.0)
    _, codes = decoder(torch.tensor([0, 2]), torch.zeros(2, 1, 3))
    torch.testing.assert_close(codes.norm(dim=1), torch.ones(2), rtol=0, atol=1e-5)
    norms = decoder.codes.weight.detach().norm(dim=1)
    assert float(norms[0]) == pytest.approx(1, abs=1e-5)
    assert norms[1] > 2
    assert float(decoder.mean_code().norm()) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("sparse", [True, False])
def test_a_code_that_is_not_in_the_batch_stays(sparse):
    decoder = tiny_decoder()
    adam = Growth(**TINY, sparse=sparse)._optimiser(decoder)
    before = []
    for batch in ([0, 1], [2, 3], [2, 3]):
        before.append(decoder.codes.weight.detach().clone())
        adam.zero_grad()
        logits, codes = decoder(torch.tensor(batch), torch.rand(2, 50, 3))
        classes = torch.randint(CLASSES, (2, 50, 1)).to(torch.uint8)
        (cross_entropy(logits, classes).mean() + 1e-4 * codes.norm(dim=1).mean()).backward()
        adam.step()
    after = [*before[1:], decoder.codes.weight.detach()]
    moved = [(a != b).any(1).tolist() for a, b in zip(before, after, strict=True)]
    assert moved[0] == [True, True, False, False]
    coasting = not sparse  # plain Adam: momentum carries 0 and 1 on
    assert moved[1:] == [[coasting, coasting, True, True]] * 2


def test_rows_that_take_part_move_as_in_adam():
    one, other = (torch.nn.Parameter(torch.ones(3, 2)) for _ in range(2))
    rows, plain = RowAdam([{"params": [one], "rows": True}]), torch.optim.Adam([other])
    for seed in range(5):
        gradient = torch.randn(3, 2, generator=torch.Generator().manual_seed(seed))
        one.grad, other.grad = gradient.clone(), gradient.clone()
        rows.step()
        plain.step()
    torch.testing.assert_close(one, other)


def test_uniform_logits_cost_ln_10():
    classes = torch.randint(CLASSES, (4, 7, 2)).to(torch.uint8)
    found = cross_entropy(torch.full((4, 7, 2 * CLASSES), 3.0), classes)
    assert found.numpy() == pytest.approx(np.full((4, 7), 2.3026), abs=1e-4)


class Cut(FabricRun):
    """A run that ends in the middle of its ninth step."""

    def steps(self, total, **state):
        for step in super().steps(total, **state):
            if step.number == 8:
                raise KeyboardInterrupt
            yield step


def test_a_run_that_was_cut_goes_on_to_the_same_bits(healthy, tmp_path):
    growth = Growth(**TINY, epochs=8, halve_every=3, volumes=2, points=64)
    training = Training(space=healthy[0].space, healthy=healthy)
    centres = centres_of(healthy, Palette.COHORT)
    told = {"device": "cpu", "precision": Precision.FULL, "save_steps": 3}

    def grown(run: FabricRun) -> dict[str, torch.Tensor]:
        torch.manual_seed(run.seed)
        return growth.grow(training, centres, run).state_dict()

    whole = grown(FabricRun(**told))
    with pytest.raises(KeyboardInterrupt):
        grown(Cut(**told, folder=tmp_path))
    resumed = grown(FabricRun(**told, folder=tmp_path, resume="latest"))
    for name, tensor in whole.items():
        assert torch.equal(resumed[name], tensor), name


def test_learns_the_classes_of_its_brains(healthy):
    growth = Growth(
        **TINY,
        dropout=0.0,
        lr=1e-2,
        epochs=40,
        halve_every=15,
        volumes=2,
        points=256,
        mode_filter=1,
    )
    centres = centres_of(healthy, Palette.COHORT)
    run = FabricRun(device="cpu", precision=Precision.FULL)
    seen = []
    run.log = lambda **figures: seen.append(figures["loss"])
    growth.grow(Training(space=healthy[0].space, healthy=healthy), centres, run)
    assert run.steps_done == 40 * 2  # 4 brains, 2 in a step
    assert np.mean(seen[-10:]) < 0.75 * np.mean(seen[:3])
