"""The published yes or no is the same for nearly any image."""

import numpy as np
import pytest

from hale.train.published_rule import published_verdict, share_above, share_of_noise

SHARES = ((1.0, 0.161), (1.5, 0.089), (2.0, 0.045))


@pytest.mark.parametrize(("sds", "share"), SHARES)
@pytest.mark.parametrize("size", [0.01, 3.0])
def test_noise_of_any_size_gives_one_share(sds, share, size):
    noise = size * np.abs(np.random.default_rng(0).standard_normal((256, 256)))
    assert share_above(noise, sds) == pytest.approx(share, abs=0.005)
    assert share_of_noise(sds) == pytest.approx(share, abs=0.001)


def test_a_lesion_hardly_moves_it():
    rng = np.random.default_rng(0)
    healthy = np.abs(rng.standard_normal((256, 256)))
    ill = healthy.copy()
    ill[100:120, 100:120] += 5
    moved = abs(share_above(ill, 2.0) - share_above(healthy, 2.0))
    assert moved < 0.015  # the lesion is 0.006 of the image, the share 0.045 without it


def test_the_words_say_legacy_and_what_noise_gives():
    error = np.abs(np.random.default_rng(0).standard_normal((64, 64)))
    said = published_verdict(error, sds=2.0, cutoff=0.05)
    assert said.startswith("legacy preset")
    assert "'no anomaly'" in said
    assert "noise alone gives 4.5 %" in said
    assert "'anomaly'" in published_verdict(error, sds=1.0, cutoff=0.05)
