import subprocess
import sys

import numpy as np
import pytest

from hale.core.errors import Refused
from hale.io import template
from hale.io.template import mni152, mni152_tissues


def test_the_template_is_a_brain_in_mni_space():
    brain = mni152()
    assert brain.values.dtype == np.float32
    assert brain.values.min() == 0
    assert brain.values.max() == 1
    assert brain.grid.spacing == (1, 1, 1)
    assert (np.diag(brain.grid.affine)[:3] > 0).all()
    assert (brain.values > 0).sum() * brain.grid.voxel_ml == pytest.approx(1886.5, abs=0.1)
    assert mni152() is brain


def test_tissues_lie_on_the_template_and_white_is_bright():
    brain, (grey, white) = mni152(), mni152_tissues()
    assert grey.grid.is_the_same_as(brain.grid)
    assert white.grid.is_the_same_as(brain.grid)
    assert brain.values[white.values > 0.9].mean() > brain.values[grey.values > 0.9].mean() + 0.1


def test_nilearn_is_not_imported():
    code = (
        "import sys; from hale.io.template import mni152; mni152(); print('nilearn' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_without_nilearn_the_template_is_refused(monkeypatch):
    monkeypatch.setattr(template, "find_spec", lambda name: None)
    with pytest.raises(Refused, match="nilearn is not installed"):
        template._shipped("t1")
