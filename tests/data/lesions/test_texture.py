import colorsys

import numpy as np
import pytest

from hale.data.lesions import texture
from hale.data.lesions.texture import OPERATIONS, textured


class Fixed(np.random.Generator):
    """A generator whose draws are known: the only way to work an operation out by hand."""

    def __init__(self, *draws):
        super().__init__(np.random.PCG64())
        self.draws = list(draws)

    def uniform(self, low, high, size=None):
        drawn = np.asarray(self.draws.pop(0), float)
        assert ((drawn >= low) & (drawn <= high)).all()
        assert drawn.shape == (() if size is None else (size,))
        return drawn if size else float(drawn)

    def random(self):
        return self.draws.pop(0)

    def integers(self, low, high):
        drawn = self.draws.pop(0)
        assert low <= drawn < high
        return drawn


@pytest.fixture
def picture():
    return np.random.default_rng(0).integers(0, 256, (3, 20, 24)).astype(np.uint8)


def levels(*values):
    return np.tile(np.array(values, np.uint8), (3, 1, 1))


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda o: o.__name__)
def test_every_operation_gives_a_picture_and_leaves_its_input(operation, picture):
    before = picture.copy()
    for seed in range(5):
        out = operation(picture, np.random.default_rng(seed))
        assert out.shape == picture.shape
        assert out.dtype == np.uint8
    np.testing.assert_array_equal(picture, before)


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda o: o.__name__)
@pytest.mark.parametrize("level", [0, 90, 255])
def test_every_operation_takes_a_constant_picture(operation, level):
    out = operation(np.full((3, 8, 8), level, np.uint8), np.random.default_rng(1))
    if operation is not texture.rotate:
        assert (out == out[:, :1, :1]).all()


def test_gamma_is_a_power_per_channel():
    out = texture.gamma(levels(0, 64, 255), Fixed([0.5, 1.0, 2.0]))
    np.testing.assert_array_equal(out[:, 0], [[0, 128, 255], [0, 64, 255], [0, 16, 255]])


def test_brightness_multiplies_then_adds():
    out = texture.brightness(levels(0, 100, 250), Fixed(1.2, -30))
    np.testing.assert_array_equal(out[0, 0], [0, 90, 255])


def test_sharpening_by_one_is_no_change_and_by_none_is_the_smooth_picture(picture):
    np.testing.assert_array_equal(texture.sharpen(picture, Fixed(1.0)), picture)
    smooth = texture.sharpen(picture, Fixed(0.0))
    around = picture[1, 4:7, 9:12].astype(float)
    assert smooth[1, 5, 10] == round((around.sum() + 4 * around[1, 1]) / 13)
    np.testing.assert_array_equal(smooth[:, 0], picture[:, 0])
    assert texture.sharpen(picture, Fixed(3.0)).astype(float).std() > picture.astype(float).std()


def test_hue_and_saturation_are_those_of_the_standard_library(picture):
    shift = (37.0, -21.0)
    out = texture.hue_saturation(picture, Fixed(shift))
    for i, j in [(0, 0), (3, 7), (12, 20), (19, 23)]:
        h, s, v = colorsys.rgb_to_hsv(*picture[:, i, j] / 255)
        s = min(max(s + shift[1] / 255, 0), 1)
        expected = np.array(colorsys.hsv_to_rgb((h + shift[0] / 255) % 1, s, v)) * 255
        np.testing.assert_allclose(out[:, i, j], expected, atol=0.51)


def test_a_grey_picture_takes_the_hue_of_red():
    out = texture.hue_saturation(levels(200), Fixed([0.0, 25.5]))
    np.testing.assert_array_equal(out.ravel(), [200, 180, 180])
    np.testing.assert_array_equal(
        texture.hue_saturation(levels(200), Fixed([40.0, -20.0])), levels(200)
    )


def test_solarising_inverts_from_the_threshold_on_half_the_time():
    x = levels(0, 99, 100, 255)
    np.testing.assert_array_equal(texture.solarise(x, Fixed(0.4, 100))[0, 0], [0, 99, 155, 0])
    np.testing.assert_array_equal(texture.solarise(x, Fixed(0.6, 100)), x)


def test_posterising_keeps_the_highest_bits():
    x = levels(0, 63, 64, 130, 255)
    np.testing.assert_array_equal(texture.posterise(x, Fixed(2))[0, 0], [0, 0, 64, 128, 192])
    np.testing.assert_array_equal(texture.posterise(x, Fixed(8)), x)
    np.testing.assert_array_equal(texture.posterise(x, Fixed(1))[0, 0], [0, 0, 0, 128, 128])


def test_autocontrast_stretches_what_is_left_after_the_cut():
    x = levels(50, 100, 150)
    np.testing.assert_array_equal(texture.autocontrast(x, Fixed(0.0))[0, 0], [0, 128, 255])
    ramp = np.tile(np.arange(100, 200, dtype=np.uint8), (3, 1, 1))
    out = texture.autocontrast(ramp, Fixed(0.1))[0, 0]
    assert (out[:10] == 0).all()
    assert (out[90:] == 255).all()
    assert int(out[50]) == pytest.approx(128, abs=3)


def test_equalising_makes_levels_equally_frequent():
    x = levels(*[10] * 5, *[11] * 5, *[200] * 5)
    np.testing.assert_array_equal(np.unique(texture.equalise(x, Fixed())), [0, 128, 255])


def test_a_quarter_of_a_right_angle_keeps_the_middle(picture):
    square = np.full((3, 21, 21), 200, np.uint8)
    out = texture.rotate(square, Fixed(45.0))
    assert (out[:, 10, 10] == 200).all()
    assert (out[:, 0, 0] == 0).all()
    np.testing.assert_array_equal(texture.rotate(picture, Fixed(0.0)), picture)


def test_a_texture_is_three_distinct_operations_in_random_order(monkeypatch):
    used = []

    def noted(number):
        def operation(x, rng):
            used.append(number)
            return x

        return operation

    monkeypatch.setattr(texture, "OPERATIONS", [noted(number) for number in range(10)])
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16)
    for seed in range(200):
        out = textured(grey, np.random.default_rng(seed))
    np.testing.assert_array_equal(out, grey.astype(np.float32) / 255)
    triples = np.array(used).reshape(200, 3)
    assert all(len(set(triple)) == 3 for triple in triples)
    assert set(triples.ravel()) == set(range(10))
    assert len({tuple(triple) for triple in triples}) > 100
