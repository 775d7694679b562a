import errno
import logging
import os
import resource
from math import inf

import pytest
import torch
from torch import nn

from hale.core.errors import Refused
from hale.train import checkpoint
from hale.train.checkpoint import Checkpoints


def state(value: float = 1.0) -> dict:
    net = nn.Linear(3, 2)
    adam = torch.optim.Adam(net.parameters(), betas=(0.5, 0.9), amsgrad=True)
    net(torch.full((1, 3), value)).sum().backward()
    adam.step()
    return {
        "net": net.state_dict(),
        "adam": adam.state_dict(),
        "run": {"steps_done": 7, "best": inf, "name": "é", "none": None, "flags": [True, 1.5]},
        "empty": torch.zeros(0),
    }


@pytest.fixture
def checkpoints(tmp_path) -> Checkpoints:
    return Checkpoints(folder=tmp_path / "run", fingerprint="recipe A")


def same(a, b) -> bool:
    if isinstance(a, torch.Tensor):
        return a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return type(a) is type(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    return type(a) is type(b) and a == b


def test_what_is_loaded_is_what_was_saved(checkpoints):
    saved = state()
    checkpoints.save(7, saved)
    assert same(checkpoints.load("latest"), saved)
    assert same(checkpoints.load(7), saved)


def test_there_is_nothing_to_load_at_first(checkpoints):
    assert checkpoints.load("latest") is None
    assert checkpoints.load(None) is None


def test_holds_no_pickle(checkpoints, monkeypatch):
    def no(*_args, **_settings):
        raise AssertionError

    monkeypatch.setattr("pickle.Unpickler", no)
    monkeypatch.setattr("torch.load", no)
    monkeypatch.setattr("torch.save", no)
    checkpoints.save(1, state())
    assert checkpoints.load("latest") is not None


def test_something_that_is_no_data_is_an_error(checkpoints):
    with pytest.raises(TypeError, match="/run/oops"):
        checkpoints.save(1, {"run": {"oops": object()}})


def test_keeps_the_newest_three(checkpoints):
    for step in (1, 2, 3, 4, 5):
        checkpoints.save(step, state())
    assert checkpoints.steps() == [3, 4, 5]


def test_a_step_that_is_not_there_is_refused_with_those_that_are(checkpoints):
    checkpoints.save(10, state())
    checkpoints.save(20, state())
    with pytest.raises(Refused, match=r"no checkpoint of step 15.*10, 20"):
        checkpoints.load(15)


def test_starting_on_top_of_another_run_is_refused(checkpoints):
    checkpoints.save(10, state())
    with pytest.raises(Refused, match="resume it"):
        checkpoints.load(None)


def test_another_recipe_is_refused(checkpoints):
    checkpoints.save(10, state())
    other = Checkpoints(folder=checkpoints.folder, fingerprint="recipe B")
    with pytest.raises(Refused, match="another recipe"):
        other.load("latest")


@pytest.mark.parametrize("damage", ["cut", "flip", "empty"])
def test_a_damaged_newest_is_passed_over_with_a_warning(checkpoints, damage, caplog):
    checkpoints.save(10, state(1.0))
    checkpoints.save(20, state(2.0))
    path = checkpoints.folder / "step-00000020.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes({"cut": data[:-9], "flip": data, "empty": b""}[damage])
    with caplog.at_level(logging.WARNING):
        loaded = checkpoints.load("latest")
    assert loaded is not None
    assert "step-00000020" in caplog.text
    with pytest.raises(Refused, match="damaged"):
        checkpoints.load(20)


def test_when_all_are_damaged_nothing_starts_anew_silently(checkpoints):
    checkpoints.save(10, state())
    (checkpoints.folder / "step-00000010.safetensors").write_bytes(b"")
    with pytest.raises(Refused, match="no checkpoint is readable"):
        checkpoints.load("latest")


def test_a_full_disk_costs_no_older_checkpoint(checkpoints, monkeypatch):
    checkpoints.save(10, state())

    def full(path, data):
        path.write_bytes(data[: len(data) // 2])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(checkpoint, "write", full)
    with pytest.raises(Refused, match="No space left") as refusal:
        checkpoints.save(20, state())
    assert str(checkpoints.folder) in str(refusal.value)
    assert [path.name for path in checkpoints.folder.iterdir()] == ["step-00000010.safetensors"]


def test_a_file_that_the_system_will_not_let_grow(checkpoints):
    checkpoints.save(10, state())
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        with pytest.raises(Refused, match="cannot be written"):
            checkpoints.save(20, state())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [path.name for path in checkpoints.folder.iterdir()] == ["step-00000010.safetensors"]


def test_a_write_that_was_killed_leaves_the_last_one_whole(checkpoints, monkeypatch):
    saved = state()
    checkpoints.save(10, saved)

    def killed(*_paths):
        raise KeyboardInterrupt  # as near to SIGKILL as a test in this process comes

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            checkpoints.save(20, state())
    assert checkpoints.steps() == [10]
    assert same(checkpoints.load("latest"), saved)
    checkpoints.save(20, state())
    assert len(list(checkpoints.folder.iterdir())) == 2
