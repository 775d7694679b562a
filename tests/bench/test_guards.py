"""A clean suite passes; each way to fool its reader is caught."""

import gzip
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from hale.bench.guards import checked, content_of
from hale.bench.plan import jobs
from hale.bench.run import hosts_of, run
from hale.bench.suite import Kind, Subjects
from hale.bench.suite_file import build_suite
from hale.core.errors import Refused
from hale.core.method import Supervision
from hale.io.cache import Cache
from hale.io.nifti import file_hash

sys.path.insert(0, str(Path(__file__).parent))
from made_data import SHAPE, suite_of, write, write_scan


def check(suite, place, options):
    return checked(suite, place, jobs(suite, place), hosts_of(suite, place), options.cache)


def scan(place, name, folder="ill") -> Path:
    return place.data / folder / name / f"{name}_FLAIR.nii.gz"


def mask(place, name) -> Path:
    return place.data / "ill" / name / f"{name}_desc-lesion_mask.nii.gz"


def values_of(path) -> np.ndarray:
    return np.asarray(nib.load(path).dataobj)


def test_a_clean_suite_passes_and_there_is_nothing_to_tell(place, options):
    assert check(suite_of(), place, options) == ()


def test_a_person_who_is_learnt_from_and_tested_on_is_refused_by_name(place, options):
    write_scan(place.data / "ill", "sub-03", ill=True)  # sub-03 is in the fit

    with pytest.raises(Refused, match=r"sub-03 is learnt from \(sub-03\) and is tested on"):
        check(suite_of(), place, options)


def test_an_image_is_known_again_under_another_name_and_compression(place, options):
    stranger = scan(place, "sub-23")
    fitted = scan(place, "sub-01", "healthy")
    stranger.write_bytes(gzip.compress(gzip.decompress(fitted.read_bytes()), 1))
    assert file_hash(stranger) != file_hash(fitted)

    with pytest.raises(Refused, match="sub-23 holds the same image as sub-01, which is learnt"):
        check(suite_of(), place, options)


def test_one_image_under_two_names_would_count_twice(place, options):
    shutil.copy(scan(place, "sub-21"), scan(place, "sub-23"))
    shutil.copy(mask(place, "sub-21"), mask(place, "sub-23"))

    with pytest.raises(Refused, match="holds the same file as sub-21"):
        check(suite_of(), place, options)


def test_a_mask_that_holds_other_values_than_0_and_1_is_refused(place, options):
    lesion = values_of(mask(place, "sub-21"))
    write(mask(place, "sub-21"), (lesion * 0.5).astype(np.float32))

    with pytest.raises(Refused, match=r"sub-21.*other than 0, 1, such as 0.5"):
        check(suite_of(), place, options)


def test_a_mask_on_another_grid_than_its_scan_is_refused(place, options):
    path = mask(place, "sub-21")
    write(path, values_of(path), np.diag([3.0, 3.0, 5.0, 1.0]))

    with pytest.raises(Refused, match="lies on another grid than its scan"):
        check(suite_of(), place, options)


def test_empty_masks_are_named_and_a_cohort_of_nothing_else_is_refused(place, options):
    write(mask(place, "sub-21"), np.zeros(SHAPE, np.uint8))
    assert check(suite_of(), place, options) == (
        "odd: 1 reference masks are empty, no figure is of them: sub-21",
    )

    for number in (23, 25, 27):
        write(mask(place, f"sub-{number}"), np.zeros(SHAPE, np.uint8))
    with pytest.raises(Refused, match="all masks are empty"):
        check(suite_of(), place, options)


def test_a_threshold_from_the_test_set_is_refused_in_the_suite_and_through_a_person(place, options):
    cohorts = [
        {"name": "ill", "data": "ill", "kind": "patients", "contrast": "FLAIR", "validation": "ill"}
    ]
    with pytest.raises(Refused, match="the test set itself would choose its threshold"):
        suite_of(cohorts=cohorts)

    both = suite_of()
    healthy, odd, even = both.cohorts
    everybody = replace(even, subjects=Subjects.ALL)
    sabotaged = replace(both, cohorts=(healthy, odd, everybody))
    with pytest.raises(Refused, match="sub-21 would choose its own threshold"):
        check(sabotaged, place, options)


def test_a_lesion_in_a_scan_that_is_said_to_be_healthy_is_refused(place, options):
    healthy = place.data / "healthy/sub-12/sub-12_desc-lesion_mask.nii.gz"
    lesion = np.zeros(SHAPE, np.uint8)
    write(healthy, lesion)
    assert check(suite_of(), place, options) == ()

    lesion[16, 18, 5] = 1
    write(healthy, lesion)
    with pytest.raises(Refused, match="holds a lesion, and its scan is said to be healthy"):
        check(suite_of(), place, options)


def test_a_patient_without_a_mask_is_refused(place, options):
    mask(place, "sub-21").unlink()

    with pytest.raises(Refused, match="1 patients have no reference mask, such as sub-21"):
        check(suite_of(), place, options)


def test_a_reused_model_that_was_calibrated_on_a_test_scan_is_refused(place, options, tmp_path):
    suite = suite_of()
    run(suite, place, options)
    table = place.data / "healthy/participants.tsv"
    moved = table.read_text().replace("sub-11\tcalibrate", "sub-11\ttest")
    table.write_text(moved.replace("sub-12\ttest", "sub-12\tcalibrate"))
    elsewhere = replace(place, out=tmp_path / "again", models=place.out / "models")

    with pytest.raises(Refused, match="was fitted or calibrated on sub-11, which cohort healthy"):
        check(suite, elsewhere, options)


def test_a_reused_model_of_namesakes_in_another_data_set_is_named(place, options, tmp_path):
    """Prepared files of the same people are other files, in a folder of another name."""
    run(suite_of(), place, options)
    table = place.data / "healthy/participants.tsv"
    text = table.read_text().replace("sub-11\tcalibrate", "sub-11\ttest")
    table.write_text(text.replace("sub-12\ttest", "sub-12\tcalibrate"))
    (place.data / "healthy").rename(place.data / "other")
    write_scan(place.data / "other", "sub-11", values=np.full(SHAPE, 7.0))
    table = suite_of().resolved()
    for cohort in table["cohorts"]:
        cohort["data"] = cohort["data"].replace("healthy", "other")
    suite = build_suite({**table, "healthy": "other"})
    elsewhere = replace(place, out=tmp_path / "again", models=place.out / "models")

    told = check(suite, elsewhere, options)

    assert len(told) == 1
    assert "calibrated on healthy, where 1 people have names of cohort healthy (sub-11)" in told[0]


def test_cases_that_a_method_learns_from_are_not_tested_on(place, options):
    learnt = place.data / "cases"
    shutil.copytree(place.data / "ill/sub-21", learnt / "sub-21")
    suite = suite_of(cases="cases")

    with pytest.raises(Refused, match=r"cohort odd: sub-21 is learnt from"):
        check(suite, place, options)


def test_a_map_of_nonsense_or_on_another_grid_is_a_failure_with_its_reason(place, options):
    from hale.bench.board import board_of

    folder = place.data / "theirs"
    for number in range(21, 29):
        name = f"sub-{number}"
        shape = SHAPE if number != 22 else (32, 36, 9)
        values = np.random.default_rng(number).random(shape).astype(np.float32)
        if number == 21:
            values[0, 0, 0] = np.nan
        if number != 23:  # no map at all
            write(folder / f"{name}.nii.gz", values)
    theirs = {"name": "theirs", "maps": "theirs", "supervision": str(Supervision.NONE)}
    base = {"name": "intensity", "single": "intensity", "settings": ["prep.mode=given"]}
    suite = suite_of(methods=[base, theirs])
    place = replace(place, maps=place.data)

    board = board_of(run(suite, place, options), options)

    rows = {row["cohort"]: row for row in board["rows"] if row["method"] == "theirs"}
    reasons = {one["id"]: one["reason"] for r in rows.values() for one in r["failed"]}
    assert set(reasons) == {"sub-21", "sub-22", "sub-23"}
    assert "NaN" in reasons["sub-21"]
    assert "lies on another grid than its scan" in reasons["sub-22"]
    assert reasons["sub-23"] == "has no map"
    assert rows["odd"]["figures"]["auprc"]["n"] == 2
    assert rows["odd"]["against"]["intensity"]["cases"] == 2


def test_contents_are_of_voxels_whatever_the_header_says(tmp_path):
    first = write_scan(tmp_path, "sub-1")
    image = nib.load(first)
    other = tmp_path / "other.nii.gz"
    image.header["descrip"] = b"another"
    nib.save(nib.Nifti1Image(np.asarray(image.dataobj), image.affine, image.header), other)
    third = write_scan(tmp_path, "sub-2")
    cache = Cache(tmp_path / "cache")

    assert file_hash(first) != file_hash(other)
    assert content_of(first, cache) == content_of(other, cache) != content_of(third, cache)


def test_lesions_in_a_healthy_cohort_are_no_figure_of_it():
    with pytest.raises(Refused, match="kind = 'synthetic'"):
        suite_of(
            cohorts=[
                {
                    "name": "a",
                    "data": "healthy",
                    "kind": str(Kind.HEALTHY),
                    "contrast": "FLAIR",
                    "lesions": {},
                }
            ]
        )
