import json
import logging
from dataclasses import dataclass

import pytest
import torch
from torch import nn

from hale.core.errors import Refused
from hale.core.run import Device, Precision, Run, Step
from hale.train.device import computes_in_bf16, resolve_device, resolve_precision
from hale.train.run import FabricRun
from hale.train.schedule import anneal


@dataclass
class Clock:
    """Seconds that pass only when told."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now


def make(**settings) -> FabricRun:
    return FabricRun(**{"device": "cpu", "precision": Precision.FULL, **settings})


def fit(run: FabricRun, total: int = 20, *, clock: Clock | None = None) -> list[float]:
    """Fit a line, with dropout and noise; return the progress of each step."""
    torch.manual_seed(run.seed)
    net = nn.Sequential(nn.Linear(2, 4), nn.Dropout(0.5), nn.Linear(4, 1))
    net, adam = run.setup(net, torch.optim.Adam(net.parameters(), lr=0.1))
    data = torch.arange(20.0).reshape(10, 2) / 20
    seen = []
    for step in run.steps(total, net=net, adam=adam):
        anneal(adam, lr=0.1, progress=step.progress)
        x = data[step.draw(len(data), size=4)]
        noise = torch.randn(x.shape, generator=step.generator)
        step.descend((net(x + noise) - x.sum(1, keepdim=True)).square().mean())
        seen.append(step.progress)
        if clock is not None:
            clock.now += 60
    fit.weights = {name: value.clone() for name, value in net.state_dict().items()}
    return seen


def weights(run: FabricRun, total: int = 20) -> dict[str, torch.Tensor]:
    fit(run, total)
    return fit.weights


def equal(a, b) -> bool:
    return all(torch.equal(a[name], b[name]) for name in a)


def test_obeys_the_protocols():
    run = make()
    assert isinstance(run, Run)
    assert isinstance(next(run.steps(1)), Step)


def test_without_a_budget_progress_is_the_share_of_the_steps(tmp_path):
    clock = Clock()
    run = make(clock=clock, folder=tmp_path)
    assert fit(run, 4, clock=clock) == [0, 0.25, 0.5, 0.75]
    assert run.finished
    assert run.steps_done == 4


def test_a_budget_cuts_the_run_and_anneals_within_it(tmp_path):
    clock = Clock()
    run = make(clock=clock, folder=tmp_path, budget_minutes=5.0)
    assert fit(run, 100, clock=clock) == pytest.approx([0, 0.2, 0.4, 0.6, 0.8])
    assert not run.finished
    assert run.steps_done == 5
    assert [path.name for path in tmp_path.glob("step-*")] == ["step-00000005.safetensors"]


def test_a_budget_that_is_not_used_up_changes_nothing():
    assert equal(weights(make(budget_minutes=1e9)), weights(make()))


@pytest.mark.parametrize("minutes", [0.0, -1.0, float("nan")])
def test_a_budget_of_nothing_is_refused(minutes):
    with pytest.raises(Refused, match="no time to learn"):
        make(budget_minutes=minutes)


def test_a_larger_budget_goes_on_where_the_smaller_one_ended(tmp_path):
    clock = Clock()
    fit(make(clock=clock, folder=tmp_path, budget_minutes=5.0), 100, clock=clock)
    run = make(clock=clock, folder=tmp_path, budget_minutes=10.0, resume="latest")
    assert fit(run, 100, clock=clock) == pytest.approx([0.5, 0.6, 0.7, 0.8, 0.9])
    assert run.steps_done == 10


def test_resumed_at_any_step_it_is_the_same_run(tmp_path):
    straight = weights(make(folder=tmp_path, save_steps=1, keep=30))
    for step in (1, 10, 19, 20):
        resumed = make(folder=tmp_path, save_steps=1, keep=30, resume=step)
        assert equal(weights(resumed), straight)
        assert resumed.finished


def test_every_step_draws_something_else_and_every_run_the_same():
    draws = [[step.draw(1000, size=8).tolist() for step in make().steps(5)] for _ in range(2)]
    assert draws[0] == draws[1]
    assert len({tuple(draw) for draw in draws[0]}) == 5
    assert not equal(weights(make(seed=1)), weights(make(seed=2)))


def test_time_decides_when_checkpoints_are_written(tmp_path):
    clock = Clock()
    fit(make(clock=clock, folder=tmp_path, save_seconds=120.0, keep=9), 5, clock=clock)
    assert sorted(int(path.stem[5:]) for path in tmp_path.glob("step-*")) == [2, 4, 5]


def test_the_log_has_one_line_per_step_after_a_resumption_too(tmp_path):
    fit(make(folder=tmp_path, save_steps=4, keep=9), 10)
    fit(make(folder=tmp_path, save_steps=4, keep=9, resume=4), 10)
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(10))
    assert all(line["loss"] > 0 for line in lines)


def test_off_a_terminal_every_tenth_is_a_line(caplog):
    with caplog.at_level(logging.INFO, logger="hale"):
        fit(make(), 20)
    assert [record.args[0] for record in caplog.records] == list(range(2, 21, 2))


def test_on_a_terminal_there_is_a_bar(monkeypatch, capsys):
    monkeypatch.setattr("rich.console.Console.is_terminal", True)
    fit(make(), 20)
    shown = capsys.readouterr()
    assert "20/20 steps" in shown.err
    assert not shown.out


def test_a_gradient_that_is_not_finite_is_refused():
    run = make()
    net = nn.Linear(1, 1)
    net, _ = run.setup(net, torch.optim.SGD(net.parameters(), lr=0.1))
    with pytest.raises(Refused, match=r"step 0.*not finite"):
        next(run.steps(1)).descend(net(torch.full((1, 1), torch.inf)).sum())


def test_gradients_are_clipped():
    run = make(clip_norm=0.5)
    net = nn.Linear(1, 1)
    net, _ = run.setup(net, torch.optim.SGD(net.parameters(), lr=1.0))
    before = net.weight.item()
    next(run.steps(1)).descend(1000 * net(torch.ones(1, 1)).sum())
    assert abs(net.weight.item() - before) < 0.5


def test_clipping_can_be_left_off():
    run = make(clip_norm=0.5)
    net = nn.Linear(1, 1)
    net, sgd = run.setup(net, torch.optim.SGD(net.parameters(), lr=1.0))
    before = net.weight.item()
    next(run.steps(1)).descend(1000 * net(torch.ones(1, 1)).sum(), sgd, clip=0.0)
    assert before - net.weight.item() == pytest.approx(1000)


def test_a_step_can_name_another_limit():
    run = make()
    net = nn.Linear(1, 1)
    net, sgd = run.setup(net, torch.optim.SGD(net.parameters(), lr=1.0))
    before = torch.cat([p.detach().flatten().clone() for p in net.parameters()])
    next(run.steps(1)).descend(1000 * net(torch.ones(1, 1)).sum(), sgd, clip=7.0)
    after = torch.cat([p.detach().flatten() for p in net.parameters()])
    assert float((before - after).norm()) == pytest.approx(7, rel=1e-4)


def duel(run: FabricRun, total: int = 12) -> list[dict[str, torch.Tensor]]:
    """Teach two networks in turn, each by the error of their sum."""
    torch.manual_seed(run.seed)
    owns = [nn.Linear(2, 1), nn.Sequential(nn.Linear(2, 4), nn.Dropout(0.5), nn.Linear(4, 1))]
    pairs = [run.setup(net, torch.optim.Adam(net.parameters(), lr=0.1)) for net in owns]
    state = {f"{k}{n}": one for n, pair in enumerate(pairs) for k, one in enumerate(pair)}
    for step in run.steps(total, **state):
        turn = step.number % 2
        net, adam = pairs[turn]
        x = torch.randn(4, 2, generator=step.generator)
        error = net(x) + owns[1 - turn](x).detach() - x.sum(1, keepdim=True)
        step.descend(error.square().mean(), adam, name=f"loss{turn}")
    return [{name: value.clone() for name, value in net.state_dict().items()} for net in owns]


def test_several_networks_go_on_together(tmp_path):
    straight = duel(make(folder=tmp_path, save_steps=1, keep=30))
    for step in (1, 6, 11):
        resumed = duel(make(folder=tmp_path, save_steps=1, keep=30, resume=step))
        assert all(equal(a, b) for a, b in zip(resumed, straight, strict=True))


def test_the_log_tells_several_losses_apart(tmp_path):
    duel(make(folder=tmp_path))
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    names = [name for line in lines for name in line if name not in {"step", "seconds"}]
    assert names == ["loss0", "loss1"] * 6


def test_a_step_teaches_one_network_and_leaves_the_others():
    one, two = duel(make(), 1), duel(make(), 2)
    assert equal(one[0], two[0])
    assert not equal(one[1], two[1])


def test_with_several_networks_one_has_to_be_named():
    run = make()
    nets = [nn.Linear(1, 1) for _ in range(2)]
    pairs = [run.setup(net, torch.optim.SGD(net.parameters(), lr=1.0)) for net in nets]
    with pytest.raises(ValueError, match="which of the 2"):
        next(run.steps(1)).descend(pairs[0][0](torch.ones(1, 1)).sum())


def test_the_draw_of_an_earlier_step_can_be_repeated():
    first, _, third = make().steps(3)
    drawn = first.draw(1000, size=8)
    assert torch.equal(third.draw(1000, size=8, of=0), drawn)
    assert not torch.equal(third.draw(1000, size=8), drawn)


def test_what_auto_means():
    assert resolve_device("auto") in {Device.CPU, Device.CUDA}
    assert resolve_precision("auto", Device.CUDA) is Precision.BF16
    assert resolve_precision("32", Device.CUDA) is Precision.FULL
    assert make(device="auto").device in {"cpu", "cuda:0"}
    assert make(precision=Precision.AUTO).precision is not Precision.AUTO


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_device_that_is_not_there_is_refused():
    with pytest.raises(Refused, match="no GPU"):
        make(device="cuda")


def test_reads_the_processor(tmp_path):
    cpuinfo = tmp_path / "cpuinfo"
    assert not computes_in_bf16(cpuinfo)
    cpuinfo.write_text("flags : fpu sse avx2\n")
    assert not computes_in_bf16(cpuinfo)
    cpuinfo.write_text("flags : fpu avx512_bf16 sse\n")
    assert computes_in_bf16(cpuinfo)
    cpuinfo.write_text("flags : fpu amx_bf16 sse\n")
    assert computes_in_bf16(cpuinfo)


def test_bfloat16_is_near_full_precision():
    full, half = weights(make(), 5), weights(make(precision=Precision.BF16), 5)
    assert not equal(full, half)
    for name, value in full.items():
        assert half[name].dtype == torch.float32
        torch.testing.assert_close(half[name], value, rtol=0.2, atol=0.2)
