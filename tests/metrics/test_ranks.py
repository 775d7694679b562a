import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from hale.metrics.ranks import above


def by_sorting(many, few):
    order = np.sort(many)
    return [len(many) - np.searchsorted(order, few, side=side) for side in ("left", "right")]


def check(many, few):
    found = above(many, np.unique(few))
    expected = by_sorting(many, np.unique(few))
    assert np.array_equal(found.at_least, expected[0])
    assert np.array_equal(found.more, expected[1])


FLOATS = st.one_of(
    st.sampled_from([0.0, -0.0, 1.0, -3.4028234663852886e38, 3.4028234663852886e38, 1e-45]),
    st.floats(width=32, allow_nan=False, allow_infinity=False),
)


@given(
    many=hnp.arrays(np.float32, st.integers(0, 60), elements=FLOATS),
    few=hnp.arrays(np.float32, st.integers(0, 20), elements=FLOATS),
    shared=st.integers(0, 10),
)
@settings(max_examples=300, deadline=None)
def test_counts_are_those_of_sorting(many, few, shared):
    check(np.concatenate([many, few[:shared]]), few)


@pytest.mark.parametrize(
    "kind", ["float16", "float32", "float64", "int8", "uint8", "int64", "bool"]
)
def test_any_real_type(kind):
    rng = np.random.default_rng(0)
    values = rng.integers(0, 2 if kind == "bool" else 100, 3000).astype(kind)
    check(values, values[::50])


@pytest.mark.parametrize("spread", [1e-38, 1e-7, 1.0, 1e30])
@pytest.mark.parametrize("offset", [0.0, 1.0, 1e6])
def test_any_scale_and_place(spread, offset):
    rng = np.random.default_rng(0)
    many = (offset + spread * rng.normal(size=5000)).astype(np.float32)
    few = (offset + spread * rng.normal(1, 1, 300)).astype(np.float32)
    few[0] = np.finfo(np.float32).min  # an outlier, as voxels that a brain mask leaves out
    check(many, np.append(few, many[:50]))
