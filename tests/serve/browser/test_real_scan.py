"""A real scan, no model: intensity ranks its voxels, a mask is drawn from a threshold."""

import gzip

import nibabel as nib
import numpy as np
import pytest
from scipy.ndimage import label

BARE = True
"""The station has neither results nor models."""
LARGEST = 200
"""Regions that a drawing starts from, at most."""


@pytest.mark.slow
def test_a_mask_is_drawn_from_a_threshold(visit, shared_data):
    reader = visit()
    page = reader.page
    assert "No results yet" in page.locator("main").inner_text()
    scan = shared_data / "ixi/sub-IXI012/anat/sub-IXI012_T1w.nii.gz"
    result = reader.detect(scan, "How bright or dark")
    assert "no p-values" in page.locator(".verdict-head h1").inner_text()

    page.locator("#brush-start").select_option("threshold")
    page.locator("#brush-size").select_option("1")
    threshold = float(page.locator("#threshold").input_value())
    page.get_by_role("radio", name="Brush").click()
    page.locator('.stage[data-tool="paint"]').wait_for()
    page.locator(".pane canvas").focus()
    page.keyboard.press("Space")
    painted = reader.crosshair()
    page.get_by_role("button", name="Keep the correction").click()
    reader.sign()
    page.get_by_text("Kept by").wait_for()

    mask = nib.Nifti1Image.from_bytes(gzip.decompress(reader.exported(result, "mask.nii.gz")))
    anomaly = reader.image(result, "anomaly.nii.gz")
    assert np.allclose(mask.affine, anomaly.affine)
    drawn, above = np.asarray(mask.dataobj) > 0, np.asarray(anomaly.dataobj) > threshold
    labels, count = label(above, np.ones((3, 3, 3)))
    sizes = np.sort(np.bincount(labels.ravel())[1:])
    assert count > 10
    place = tuple(np.rint(np.linalg.solve(mask.affine, [*painted, 1])[:3]).astype(int))
    assert drawn[place]
    drawn[place] = above[place]
    assert not (drawn & ~above).any()
    assert drawn.sum() == pytest.approx(sizes[-LARGEST:].sum(), abs=1)
