"""No slab is scored by a model that saw it, or what lies within the gap around it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hale.core.errors import Refused
from hale.train.slabs import evenly, slabs


@given(
    count=st.integers(60, 160),
    spacing=st.sampled_from([1.0, 1.3, 2.0]),
    number=st.integers(2, 6),
    gap=st.sampled_from([0.0, 5.0, 10.0]),
)
def test_what_is_seen_lies_beyond_the_gap(count, spacing, number, gap):
    levels = np.arange(7, 7 + count)
    found = slabs(levels, count=number, gap_mm=gap, spacing_mm=spacing)
    assert len(found) == number
    np.testing.assert_array_equal(np.concatenate([slab.score for slab in found]), levels)
    for slab in found:
        assert (np.diff(slab.score) == 1).all()
        for seen in (slab.learn, slab.watch):
            apart = np.abs(seen[:, None] - slab.score).min(1) * spacing
            assert (apart > gap).all()
        assert not set(slab.learn) & set(slab.watch)


def test_ten_slices_are_left_out_around_a_slab_at_one_millimetre():
    middle = slabs(np.arange(100), count=5, gap_mm=10.0, spacing_mm=1.0)[2]
    seen = np.union1d(middle.learn, middle.watch)
    np.testing.assert_array_equal(seen, [*range(30), *range(70, 100)])


@pytest.mark.parametrize("levels", [np.array([4]), np.arange(50)])
def test_one_slab_or_one_slice_is_learnt_from_itself(levels):
    (slab,) = slabs(levels, count=5 if len(levels) == 1 else 1, gap_mm=10.0, spacing_mm=1.0)
    assert slab.learn is slab.score
    np.testing.assert_array_equal(slab.score, levels)


def test_a_scan_too_short_for_slabs_is_refused():
    with pytest.raises(Refused, match=r"5 slabs with a gap of 10 mm: 12 slices over 12 mm.*slabs"):
        slabs(np.arange(12), count=5, gap_mm=10.0, spacing_mm=1.0)


def test_slices_are_spread_evenly():
    np.testing.assert_array_equal(evenly(np.arange(10, 20), 5), [10, 12, 14, 16, 18])
    np.testing.assert_array_equal(evenly(np.arange(3), 5), [0, 1, 2])
