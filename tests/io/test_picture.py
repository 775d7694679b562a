"""Single slices without a header: the pixels that came, or a refusal that names what is wrong."""

import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hale.core.errors import Refused
from hale.io.nifti import as_stored, read_volume, stem, voxel_count
from hale.io.picture import LARGEST

PIXELS = np.random.default_rng(0).integers(0, 255, (20, 30)).astype(np.uint8)


def saved(path: Path, array: np.ndarray) -> Path:
    if path.suffix == ".npy":
        np.save(path, array, allow_pickle=True)
    else:
        Image.fromarray(array).save(path)
    return path


@pytest.mark.parametrize("name", ["slice.npy", "slice.png", "SLICE.PNG"])
def test_the_top_is_the_front_and_the_left_is_left(name, tmp_path):
    read = read_volume(saved(tmp_path / name, PIXELS))
    assert read.volume.grid.shape == (30, 20, 1)
    assert read.volume.grid.spacing == (1, 1, 1)
    np.testing.assert_array_equal(read.volume.values[:, ::-1, 0].T, PIXELS)
    left_top = read.volume.grid.positions(np.array([[0, 19, 0]]))[0]
    np.testing.assert_allclose(left_top, (0, 19, 0))
    np.testing.assert_array_equal(as_stored(read.volume.values, read.stored)[..., 0], PIXELS)
    assert any("a picture" in note for note in read.notes)
    assert (stem(tmp_path / name), voxel_count(tmp_path / name)) == (Path(name).stem, 600)


def test_sixteen_bits_and_truth_values_are_grey_too(tmp_path):
    deep = PIXELS.astype(np.uint16) * 200
    read = read_volume(saved(tmp_path / "deep.png", deep))
    assert read.volume.values.max() == deep.max()
    mask = read_volume(saved(tmp_path / "mask.npy", PIXELS > 99))
    assert set(np.unique(mask.volume.values)) == {0, 1}


def damaged(array: np.ndarray, value: float) -> np.ndarray:
    bad = array.astype(np.float32)
    bad[3, 4] = value
    return bad


REFUSED = {
    "rgb.png": (np.stack([PIXELS] * 3, -1), "colour or transparent picture.*RGB.*grey"),
    "clear.png": (np.stack([PIXELS] * 4, -1), "colour or transparent picture.*RGBA"),
    "volume.npy": (np.stack([PIXELS] * 3, -1), "20 x 30 x 3: 3 axes, not 2.*NIfTI"),
    "line.npy": (PIXELS[0], "1 axes, not 2"),
    "number.npy": (np.array(3.0), "a single number"),
    "objects.npy": (np.array([[{}, 1]], object), "no plain array of numbers.*unpickled"),
    "complex.npy": (PIXELS * 1j, "holds complex128"),
    "words.npy": (np.full((20, 20), "a"), "holds <U1"),
    "nan.npy": (damaged(PIXELS, np.nan), "1 pixels are NaN or infinite"),
    "inf.npy": (damaged(PIXELS, np.inf), "1 pixels are NaN or infinite"),
    "flat.npy": (np.full((20, 20), 7.0), "every voxel is 7"),
    "flat.png": (np.zeros((20, 20), np.uint8), "every voxel is 0"),
    "dot.npy": (np.ones((1, 1)), "is 1 x 1 pixels.*16 x 16"),
    "dot.png": (PIXELS[:1, :1], "is 1 x 1 pixels"),
    "empty.npy": (np.zeros((0, 5)), "is 0 x 5 pixels"),
    "long.npy": (np.ones((16, LARGEST + 1), np.uint8), "more than any slice"),
    "long.png": (np.ones((16, LARGEST + 1), np.uint8), "more than any slice"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_slice_is_refused_by_name(name, tmp_path):
    array, why = REFUSED[name]
    with pytest.raises(Refused, match=rf"(?s){name}: .*{why}"):
        read_volume(saved(tmp_path / name, array))


def test_a_huge_picture_is_refused_before_it_is_read(tmp_path):
    header = saved(tmp_path / "a.png", PIXELS).read_bytes()
    for side in (10_000, 40_000):
        sides = side.to_bytes(4) * 2
        chunk = b"IHDR" + sides + header[24:29]
        forged = header[:12] + chunk + zlib.crc32(chunk).to_bytes(4) + header[33:]
        (tmp_path / "huge.png").write_bytes(forged)
        with pytest.raises(Refused, match="than any slice"):
            read_volume(tmp_path / "huge.png")


@pytest.mark.parametrize("name", ["a.npy", "a.png"])
@pytest.mark.parametrize("keep", [0, 5, 60, 200])
def test_damaged_files_are_refused(name, keep, tmp_path):
    path = saved(tmp_path / name, PIXELS)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(Refused, match=r"empty|damaged"):
        read_volume(path)


def with_chunk(kind: bytes, body: bytes, keep: int | None = None) -> bytes:
    """Return a PNG with one more chunk after its header; ``keep``: the bytes of its body there."""
    stream = BytesIO()
    Image.fromarray(PIXELS).save(stream, "PNG")
    png, body = stream.getvalue(), body[:keep]
    chunk = len(body).to_bytes(4) + kind + body + zlib.crc32(kind + body).to_bytes(4)
    return png[:33] + chunk + png[33:]


def with_shape(shape: tuple[int, ...]) -> bytes:
    stream = BytesIO()
    np.lib.format.write_array_header_1_0(
        stream, {"descr": "<f4", "fortran_order": False, "shape": shape}
    )
    return stream.getvalue() + bytes(4000)


FORGED = {
    "text.png": with_chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(3_000_000))),
    "size.png": with_chunk(b"pHYs", bytes(9), keep=2),
    "clear.png": with_chunk(b"tRNS", bytes(2), keep=1),
    "zip.npy": b"PK\x03\x04" + bytes(400),
    "below.npy": with_shape((-20, 30)),
    "both.npy": with_shape((-20, -30)),
    "vast.npy": with_shape((2**62, 2**62)),
    "truth.npy": with_shape((True, 20)),
}


@pytest.mark.parametrize("name", FORGED)
def test_forged_files_are_refused(name, tmp_path):
    (tmp_path / name).write_bytes(FORGED[name])
    with pytest.raises(Refused, match=rf"{name}: "):
        read_volume(tmp_path / name)


@pytest.mark.parametrize("name", ["a.npy", "a.png"])
def test_another_file_under_the_name_is_refused(name, tmp_path):
    path = tmp_path / name
    path.write_bytes(b"not what it says" * 40)
    with pytest.raises(Refused, match="damaged"):
        read_volume(path)
    np.savez(tmp_path / "b.npz", PIXELS)
    (tmp_path / "b.npz").rename(path)
    with pytest.raises(Refused, match="damaged"):
        read_volume(path)
    with pytest.raises(Refused, match="there is no such file"):
        read_volume(tmp_path / f"no-{name}")
