import numpy as np
import pytest

from hale.io import cache as module
from hale.io.cache import Cache, key_of


class Counted:
    def __init__(self) -> None:
        self.calls = 0

    def __call__(self) -> dict[str, np.ndarray]:
        self.calls += 1
        return {"x": np.arange(6, dtype=np.float32).reshape(2, 3)[:, ::-1]}


def test_a_result_is_computed_once_and_read_back_the_same(tmp_path):
    compute, cache = Counted(), Cache(tmp_path)
    first = cache.get("stage", key_of("a"), compute)
    second = cache.get("stage", key_of("a"), compute)
    assert compute.calls == 1
    assert np.array_equal(first["x"], second["x"])
    assert second["x"].dtype == np.float32


def test_another_key_or_stage_is_another_result(tmp_path):
    compute, cache = Counted(), Cache(tmp_path)
    for stage, key in (("one", "a"), ("one", "b"), ("two", "a")):
        cache.get(stage, key_of(key), compute)
    assert compute.calls == 3


def test_no_folder_keeps_nothing():
    compute = Counted()
    for _ in range(2):
        Cache().get("stage", key_of("a"), compute)
    assert compute.calls == 2


@pytest.mark.parametrize("damage", [b"", b"short", b"\xff" * 64])
def test_a_damaged_file_is_computed_again_and_replaced(damage, tmp_path):
    compute, cache = Counted(), Cache(tmp_path)
    cache.get("stage", key_of("a"), compute)
    (file,) = (p for p in tmp_path.rglob("*") if p.is_file())
    file.write_bytes(damage)
    assert np.array_equal(cache.get("stage", key_of("a"), compute)["x"], compute()["x"])
    before = compute.calls
    cache.get("stage", key_of("a"), compute)
    assert compute.calls == before


def test_a_full_disk_loses_the_copy_only(tmp_path, monkeypatch):
    class Full:
        def __init__(self, **options):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "NamedTemporaryFile", Full)
    assert Cache(tmp_path).get("stage", key_of("a"), Counted())["x"].shape == (2, 3)
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []


def test_a_cache_that_is_a_file_keeps_nothing(tmp_path):
    (tmp_path / "cache").write_text("no folder")
    assert Cache(tmp_path / "cache").get("stage", key_of("a"), Counted())["x"].shape == (2, 3)
    assert (tmp_path / "cache").read_text() == "no folder"


def test_keys_tell_values_types_shapes_and_order_apart():
    a = np.zeros(6, np.float32)
    parts = [
        (a,),
        (a.reshape(2, 3),),
        (a.astype(np.int32),),
        (a, 1),
        (1, a),
        ("1", a),
        ("ab", "c"),
        ("a", "bc"),
        ({"x": 1},),
        ({"x": 2},),
    ]
    assert len({key_of(*p) for p in parts}) == len(parts)
    assert key_of({"a": 1, "b": 2}) == key_of({"b": 2, "a": 1})
    assert key_of(a.reshape(2, 3).T) == key_of(np.ascontiguousarray(a.reshape(2, 3).T))
