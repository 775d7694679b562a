import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from hale.metrics import scan


def test_agrees_with_scikit_learn():
    rng = np.random.default_rng(0)
    ill = rng.random(40) < 0.5
    scores = np.round(rng.random(40) + 0.2 * ill, 1)
    assert scan.auroc(scores, ill) == pytest.approx(roc_auc_score(ill, scores))
    assert scan.average_precision(scores, ill) == pytest.approx(
        average_precision_score(ill, scores)
    )


@pytest.mark.parametrize("ill", [[0, 0], [1, 1]])
def test_one_kind_of_scan_is_undefined(ill):
    assert np.isnan(scan.auroc([1.0, 2.0], ill))
    assert np.isnan(scan.average_precision([1.0, 2.0], ill))
