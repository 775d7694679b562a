"""Weights of others: believed by their header, never unpickled."""

import pickle

import numpy as np
import pytest
from safetensors.numpy import save_file

from hale.core.errors import Refused
from hale.io.weights import read_weights

SHAPES = {"a.weight": (2, 3), "b.weight": (4,)}


def arrays(prefix: str = "") -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {prefix + name: rng.random(shape, np.float32) for name, shape in SHAPES.items()}


@pytest.mark.parametrize("prefix", ["", "model."])
def test_with_and_without_the_prefix(tmp_path, prefix):
    save_file(arrays(prefix), tmp_path / "w.safetensors")
    found = read_weights(tmp_path / "w.safetensors", SHAPES, prefix="model.")
    assert found.keys() == SHAPES.keys()
    for name, array in arrays().items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == np.float32


def test_half_precision_becomes_single(tmp_path):
    half = {name: array.astype(np.float16) for name, array in arrays().items()}
    save_file(half, tmp_path / "w.safetensors")
    found = read_weights(tmp_path / "w.safetensors", SHAPES)
    assert {array.dtype for array in found.values()} == {np.dtype(np.float32)}


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"a.weight": None}, r"'a\.weight' is missing"),
        ({"c.weight": np.zeros(1, np.float32)}, r"'c\.weight' is none of this network's"),
        ({"b.weight": np.zeros(5, np.float32)}, r"'b\.weight' is \(5,\), this network's is \(4,\)"),
        ({"b.weight": np.full(4, np.nan, np.float32)}, r"'b\.weight' is not finite"),
        ({"b.weight": np.full(4, np.inf, np.float16)}, r"'b\.weight' is not finite"),
        ({"b.weight": np.zeros(4, np.int32)}, r"'b\.weight' is I32"),
        ({"model.a.weight": np.zeros((2, 3), np.float32)}, r"'a\.weight' with and without"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path, change, why):
    stored = {name: a for name, a in {**arrays(), **change}.items() if a is not None}
    save_file(stored, tmp_path / "w.safetensors")
    with pytest.raises(Refused, match=why):
        read_weights(tmp_path / "w.safetensors", SHAPES, prefix="model.")


class Bomb:
    def __reduce__(self):
        return pytest.fail, ("a pickle was executed",)


def test_a_pickle_is_not_opened(tmp_path):
    path = tmp_path / "model.pt"
    path.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(Refused, match=r"is no safetensors file.*opens no pickle"):
        read_weights(path, SHAPES)


def test_a_file_that_was_cut_is_refused(tmp_path):
    save_file(arrays(), tmp_path / "w.safetensors")
    data = (tmp_path / "w.safetensors").read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(data[:-5])
    with pytest.raises(Refused, match="is no safetensors file"):
        read_weights(tmp_path / "cut.safetensors", SHAPES)
