"""A result in a notebook: which layers, and what is said where the package is missing."""

import gzip
import sys

import nibabel as nib
import numpy as np
import pytest

import hale
from hale.core.errors import Refused


def shape_of(volume) -> tuple[int, ...]:
    return nib.Nifti1Image.from_bytes(gzip.decompress(volume.data)).shape


def test_a_folder_of_results_is_shown(lab):
    pytest.importorskip("ipyniivue")
    viewer = hale.view(lab.results / "ill", scan=lab.ill)
    scan, anomaly, mask = viewer.volumes
    assert [volume.name for volume in viewer.volumes] == [
        "sub-91_T1w.nii.gz",
        "anomaly.nii.gz",
        "mask.nii.gz",
    ]
    assert scan.data == lab.ill.read_bytes()
    assert (scan.opacity, anomaly.opacity < 1) == (1.0, True)
    assert anomaly.cal_min == 3.0  # z0: what is coloured may be a component
    assert anomaly.cal_max >= 6.0
    assert shape_of(mask) == (24, 24, 24)


def test_a_detection_is_shown_as_the_folder_is(lab):
    pytest.importorskip("ipyniivue")
    model = hale.load(lab.models / "ball")
    detection = hale.detect(model, lab.ill, insist=True)
    viewer = hale.view(detection)
    names = [volume.name for volume in viewer.volumes]
    assert names == ["scan.nii.gz", "anomaly.nii.gz", "mask.nii.gz"]
    ours = nib.Nifti1Image.from_bytes(gzip.decompress(viewer.volumes[1].data))
    written = nib.as_closest_canonical(nib.load(lab.results / "ill/anomaly.nii.gz"))
    np.testing.assert_allclose(np.asarray(ours.dataobj), np.asarray(written.dataobj), atol=1e-5)
    np.testing.assert_allclose(ours.affine, written.affine)


def test_without_the_package_the_extra_is_named(lab, monkeypatch):
    monkeypatch.setitem(sys.modules, "ipyniivue", None)
    with pytest.raises(Refused, match=r"pip install 'hale\[notebook\]'"):
        hale.view(lab.results / "ill")


def test_a_folder_without_a_result_is_refused(tmp_path):
    with pytest.raises(Refused, match="--out of a `hale detect`"):
        hale.view(tmp_path)
