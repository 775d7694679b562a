import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from hale.core.errors import Refused
from hale.nets.implicit_field import ImplicitField
from hale.train.classes import PUBLISHED
from hale.train.public_field import code_table, public_state

BRAINS = 1055


@pytest.fixture(scope="module")
def made() -> dict[str, dict]:
    """Checkpoints of the published names and shapes."""
    torch.manual_seed(0)
    spelt = {"original0": "weight_g", "original1": "weight_v"}
    weights = {"L_mult": torch.pi * 2.0 ** torch.arange(10.0).reshape(1, 1, 10)}
    for name, tensor in ImplicitField().state_dict().items():
        layer, _, kind = name.replace("parametrizations.weight.", "").rpartition(".")
        weights[f"{layer}.{spelt.get(kind, kind)}"] = tensor
    codes = torch.randn(BRAINS, 256) / 16
    return {"weights": weights, "codes": {"weight": codes}}


@pytest.fixture
def files(made, tmp_path: Path) -> tuple[Path, Path]:
    return write(tmp_path, made["weights"], made["codes"])


def write(folder: Path, weights: dict, codes: dict) -> tuple[Path, Path]:
    torch.save({"epoch": 2001, "model_state_dict": weights}, folder / "weights.pth")
    torch.save({"epoch": 2001, "latent_codes": codes}, folder / "codes.pth")
    return folder / "weights.pth", folder / "codes.pth"


class Bomb:
    """What a malicious pickle is: a call, made while it is read."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return Path.touch, (self.mark,)


def test_codes_load_as_a_table(files, made):
    table = code_table(files[1])
    assert table.shape == (BRAINS, 256)
    torch.testing.assert_close(table, made["codes"]["weight"], rtol=0, atol=0)


@pytest.mark.parametrize("prefix", ["", "module."])
def test_state_is_that_of_the_published_network(made, tmp_path, prefix):
    spelt = {prefix + name: tensor for name, tensor in made["weights"].items()}
    state = public_state(*write(tmp_path, spelt, made["codes"]))
    assert sum(state[f"lin{n}.weight"].size + state[f"lin{n}.bias"].size for n in range(9)) == (
        1_847_698 - 7 * 512 - 196  # the lengths of rows are multiplied out
    )
    g, v = (made["weights"][f"lin2.weight_{kind}"] for kind in "gv")
    np.testing.assert_allclose(
        state["lin2.weight"], (g * v / v.norm(dim=1, keepdim=True)).numpy(), atol=1e-6
    )
    assert state["centres"][0] == pytest.approx(PUBLISHED)
    short = made["codes"]["weight"].renorm(2, 0, 1.0)
    np.testing.assert_allclose(state["mean_code"], short.mean(0).numpy(), atol=1e-6)


def test_a_weight_that_is_missing_foreign_or_misshapen_is_named(made, tmp_path):
    weights = made["weights"]
    without = {name: tensor for name, tensor in weights.items() if name != "lin5.weight_g"}
    for changed, name in (
        (without, r"lin5.*original0"),
        ({**weights, "lin9.bias": torch.zeros(3)}, "lin9.bias"),
        ({**weights, "lin8.bias": torch.zeros(3)}, r"lin8.bias.*\(3,\)"),
        ({**weights, "lin8.bias": "zero"}, "lin8.bias"),
        ({**weights, "lin8.bias": torch.full((10,), torch.nan)}, "lin8.bias.*finite"),
    ):
        with pytest.raises(Refused, match=name):
            public_state(*write(tmp_path, changed, made["codes"]))


def test_other_codes_are_refused(made, tmp_path):
    for codes in ({"weight": torch.zeros(5, 128)}, {"weights": torch.zeros(5, 256)}, {}):
        with pytest.raises(Refused, match="codes"):
            public_state(*write(tmp_path, made["weights"], codes))


def test_files_given_the_wrong_way_round_are_refused(files):
    with pytest.raises(Refused, match="model_state_dict"):
        public_state(files[1], files[0])


@pytest.mark.parametrize("legacy", [True, False])
def test_a_malicious_pickle_is_refused_and_nothing_in_it_runs(tmp_path, files, legacy):
    mark = tmp_path / "executed"
    bomb = tmp_path / "bomb.pth"
    torch.save({"model_state_dict": Bomb(mark)}, bomb, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(Refused, match=r"bomb\.pth.*tensors alone"):
        public_state(bomb, files[1])
    bomb.write_bytes(pickle.dumps({"latent_codes": Bomb(mark)}, protocol=2))
    with pytest.raises(Refused, match=r"bomb\.pth.*tensors alone"):
        public_state(files[0], bomb)
    assert not mark.exists()


def test_what_is_no_checkpoint_is_refused(tmp_path, files):
    for content in (b"", b"not a checkpoint", files[0].read_bytes()[:1000]):
        (tmp_path / "other.pth").write_bytes(content)
        with pytest.raises(Refused, match=r"other\.pth"):
            public_state(tmp_path / "other.pth", files[1])
    with pytest.raises(Refused, match=r"nothing\.pth.*cannot be read"):
        public_state(tmp_path / "nothing.pth", files[1])
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(Refused, match="holds a list"):
        public_state(tmp_path / "list.pth", files[1])


@pytest.mark.parametrize("content", [b"", b"state dict", b"t", b"}", b".", b"q", b"h"])
def test_files_that_are_no_pickles_are_refused_by_name(content, tmp_path):
    path = tmp_path / "weights.pth"
    path.write_bytes(content)
    with pytest.raises(Refused, match=r"weights\.pth: is no checkpoint of tensors"):
        code_table(path)
