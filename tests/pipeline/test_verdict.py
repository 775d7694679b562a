"""The verdict follows the figures: fixed bounds first, then the training cohort."""

import json

import numpy as np
import pytest

from hale.core.quality import Finding, Quality, Verdict
from hale.pipeline.rules import RULES
from hale.pipeline.verdict import LEFT_RIGHT, MIN_COHORT, distribution, judge

GOOD = {
    "brain_ml": 1450.0,
    "spacing_max_mm": 2.0,
    "spacing_ratio": 1.0,
    "brain_cut": 0.0,
    "outside_share": 0.0,
    "rotation_deg": 12.0,
    "scale_min": 0.83,
    "scale_max": 0.95,
    "stretch": 1.14,
    "volume_factor": 0.7,
    "centre_off_mm": 0.7,
    "overlap_dice": 0.96,
    "mutual_information": 1.0,
    "registration_starts": 1.0,
    "covered": 1.0,
    "correlation": 0.58,
    "resemblance": 0.65,
    "symmetry": 0.8,
    "detail": 0.62,
    "noise": 0.06,
    "spikes": 0.0002,
    "flat": 0.0,
    "saturated": 0.0,
    "grey_levels": 120.0,
    "ghosting": 0.007,
    "stripes": 0.0004,
}
"""The medians of IXI, rounded."""


def cohort(n: int = 20) -> dict[str, dict[str, float]]:
    rng = np.random.default_rng(0)
    return distribution(
        [{k: v * (1 + 0.02 * rng.normal()) for k, v in GOOD.items()} for _ in range(n)]
    )


def of(findings: tuple[Finding, ...]) -> dict[str, Verdict]:
    return {finding.measure: finding.verdict for finding in findings}


def test_a_good_scan_passes_with_and_without_a_cohort():
    for seen in (None, cohort()):
        assert judge(GOOD, seen) == Quality()
    assert judge({}).verdict is Verdict.PASS


def test_every_rule_has_a_good_value_that_it_passes():
    assert set(RULES) == set(GOOD)


@pytest.mark.parametrize(
    ("measure", "warns", "refused"),
    [
        ("overlap_dice", 0.88, 0.80),
        ("resemblance", 0.13, 0.05),
        ("rotation_deg", 50.0, 90.0),
        ("scale_min", 0.6, 0.4),
        ("scale_max", 1.4, 1.7),
        ("stretch", 1.5, 2.0),
        ("centre_off_mm", 15.0, 30.0),
        ("brain_ml", 800.0, 200.0),
        ("brain_ml", 2200.0, 3500.0),
        ("brain_cut", 0.5, 0.95),
        ("outside_share", 0.1, 0.4),
        ("noise", 0.2, 0.3),
        ("ghosting", 0.1, 0.4),
        ("flat", 0.1, 0.5),
        ("covered", 0.9, 0.5),
    ],
)
def test_the_worse_a_figure_the_worse_the_verdict(measure, warns, refused):
    assert of(judge(GOOD | {measure: warns}).findings) == {measure: Verdict.WARN}
    assert of(judge(GOOD | {measure: refused}).findings) == {measure: Verdict.REFUSE}


@pytest.mark.parametrize(
    ("measure", "value"),
    [
        ("spacing_ratio", 5.0),
        ("stripes", 0.2),
        ("spikes", 0.1),
        ("saturated", 0.9),
        ("grey_levels", 4.0),
        ("registration_starts", 3.0),
    ],
)
def test_what_leaves_a_scan_readable_never_refuses(measure, value):
    assert judge(GOOD | {measure: value}).verdict is Verdict.WARN


def test_a_mirroring_registration_is_refused():
    assert judge(GOOD | {"volume_factor": -0.7}).verdict is Verdict.REFUSE


def test_a_finding_says_figure_bound_and_meaning_and_the_worst_stands_first():
    found = judge(GOOD | {"brain_cut": 0.62, "rotation_deg": 90.0}).findings
    assert [f.verdict for f in found] == [Verdict.REFUSE, Verdict.WARN]
    assert found[1].what == (
        "Brain's area on the outermost slice over its largest is 0.62, above 0.3:"
        " the field of view cuts the brain."
    )


def test_figures_have_units_and_no_powers_of_ten():
    found = judge(GOOD | {"brain_ml": 2034.4}).findings
    assert found[0].what == (
        "Brain volume is 2034 ml, above 2000 ml: an adult's is 900 to 2000 ml."
    )
    said = judge(GOOD | {"spacing_max_mm": 5.5}, cohort()).out_of_domain
    assert said[0].startswith("Largest voxel edge is 5.5 mm; in the training cohort 1.9")


def test_what_cannot_be_measured_says_nothing():
    assert judge(dict.fromkeys(GOOD, float("nan")), cohort()) == Quality()


# The cohort


def test_the_distribution_is_robust_plain_json_without_what_few_scans_have():
    values = [0.05, 0.06, 0.07] * 4 + [0.9]
    checks = [{"noise": v, "detail": float("nan"), "grey_levels": 99.0} for v in values]
    found = distribution(checks)
    assert json.loads(json.dumps(found)) == found
    assert set(found) == {"noise"}
    assert found["noise"] == pytest.approx(
        {"n": 13, "median": 0.06, "sd": 0.0148, "low": 0.05, "high": 0.9}, abs=1e-4
    )
    assert distribution(checks[: MIN_COHORT - 1]) == {}


def test_the_harmful_side_of_a_cohort_warns_and_the_harmless_one_is_only_said():
    noisy = judge(GOOD | {"noise": 0.14}, cohort())
    assert of(noisy.findings) == {"noise": Verdict.WARN}
    assert len(noisy.out_of_domain) == 1
    assert "in the training cohort" in noisy.out_of_domain[0]
    calm = judge(GOOD | {"noise": 0.005}, cohort())
    assert calm.verdict is Verdict.PASS
    assert len(calm.out_of_domain) == 1


def test_thin_slices_after_thick_ones_are_another_domain_and_no_fault():
    found = judge(GOOD | {"spacing_max_mm": 0.7}, cohort())
    assert found.verdict is Verdict.PASS
    assert "Largest voxel edge" in found.out_of_domain[0]


def test_inside_the_cohorts_range_nothing_is_outside_however_narrow_its_spread():
    checks = [GOOD | {"resemblance": v} for v in [0.65] * 20 + [0.2]]
    assert judge(GOOD | {"resemblance": 0.21}, distribution(checks)) == Quality()


def test_far_below_the_cohort_only_the_overlap_refuses():
    tight = distribution([GOOD | {"overlap_dice": 0.985}] * 20)
    assert judge(GOOD | {"overlap_dice": 0.95}, tight).verdict is Verdict.WARN
    assert judge(GOOD | {"overlap_dice": 0.905}, tight).verdict is Verdict.REFUSE
    far = judge(GOOD | {"resemblance": 0.16, "detail": 0.1, "noise": 0.14}, cohort())
    assert set(of(far.findings).values()) == {Verdict.WARN}
    assert set(of(far.findings)) == {"resemblance", "detail", "noise"}


def test_a_measure_is_named_once_by_its_worst_finding():
    found = judge(GOOD | {"overlap_dice": 0.80}, cohort())
    assert [f.measure for f in found.findings] == ["overlap_dice"]
    assert "below 0.85" in found.findings[0].what


def test_another_contrast_is_judged_by_the_same_rules_under_its_name():
    found = judge(GOOD | {"ghosting_T1w-ce": 0.4, "noise_FLAIR": 0.2})
    assert of(found.findings) == {"ghosting_T1w-ce": Verdict.REFUSE, "noise_FLAIR": Verdict.WARN}
    assert found.findings[0].what.startswith("T1w-ce: Correlation of the image with a shifted copy")
    assert judge({"covered_FLAIR": 0.1}).verdict is Verdict.REFUSE
    assert judge({"unheard_FLAIR": 0.1}).verdict is Verdict.PASS  # a figure without a rule


# The header


@pytest.mark.parametrize(
    "note",
    [
        "sform and qform code are 0: orientation assumed, side unknown",
        "Analyze header: left and right are a convention",
    ],
)
def test_a_header_that_does_not_know_the_sides_warns(note):
    found = judge(GOOD, None, ["brain mask given by the user", note])
    assert found.verdict is Verdict.WARN
    assert found.findings[0].what == f"{note}. {LEFT_RIGHT}"


def test_the_header_notes_are_those_that_reading_writes(tmp_path):
    import nibabel as nib

    from hale.io.nifti import read_volume

    values = np.arange(1000, dtype="f4").reshape(10, 10, 10)
    image = nib.Nifti1Image(values, np.eye(4))
    image.set_sform(None, 0)
    image.set_qform(None, 0)
    nib.save(image, tmp_path / "a.nii.gz")
    nib.save(nib.AnalyzeImage(values, np.eye(4)), tmp_path / "b.img")
    for name in ("a.nii.gz", "b.img"):
        notes = read_volume(tmp_path / name).notes
        assert judge(GOOD, None, notes).verdict is Verdict.WARN
