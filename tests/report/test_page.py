"""The page says what was found, to a reader, in one file."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from hale.core.detection import Validity
from hale.core.scan import Contrast
from hale.prep.brain.find import EXTRACTED, GIVEN
from hale.report.methods_section import methods_paragraph
from hale.report.page import write_report
from hale.report.words import INTENDED_USE, position, verdict


class Page(HTMLParser):
    """Text, attributes and table rows of a page."""

    VOID = ("meta", "img", "br")

    def __init__(self, html):
        super().__init__()
        self.open, self.links, self.images, self.rows, self.words = [], [], [], [], []
        self.html = html
        self.feed(html)
        assert not self.open, "every element is closed"
        self.text = re.sub(r"\s+", " ", " ".join(self.words))

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.links += [values[key] for key in ("src", "href") if key in values]
        if tag == "img":
            self.images.append(values)
        if tag == "tr":
            self.rows.append("")
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" in self.open:
            return
        self.words.append(data)
        if "tr" in self.open:
            self.rows[-1] += " " + data


@pytest.fixture(scope="session")
def page(found, tmp_path_factory):
    """Return the parsed report of the flagged scan."""
    path = tmp_path_factory.mktemp("report") / "report.html"
    write_report(found, path)
    return Page(path.read_text(encoding="utf-8"))


@pytest.fixture
def read(tmp_path):
    """Return a function that writes a detection's report and parses it."""

    def write_and_read(detection):
        path = tmp_path / "report.html"
        write_report(detection, path)
        return Page(path.read_text(encoding="utf-8"))

    return write_and_read


def test_says_what_was_flagged(page):
    assert "Flagged: 1 component beyond what 90 % of healthy scans show" in page.text
    assert "between 1 and 24 % of healthy scans are flagged" in page.text
    assert "p-values are not valid here" not in page.text


def test_says_that_nothing_was_flagged(read, nothing):
    page = read(nothing)
    assert "Not flagged at alpha = 0.1" in page.text
    assert "does not make the scan normal" in page.text


def test_says_that_an_uncalibrated_method_gives_ranks(read, uncalibrated):
    page = read(uncalibrated)
    assert "Map and ranks only: no calibrated decision" in page.text
    assert "p =" not in page.text
    assert "All components" not in page.text
    assert len(page.images) == 2, "mosaic and brain"


def test_warns_where_the_calibration_does_not_speak(read, found, page):
    validity = Validity(holds=False, reasons=("another scanner",), not_checked=("age",))
    doubtful = read(replace(found, validity=validity))
    assert "p-values are not valid here" in doubtful.text
    assert "another scanner" in doubtful.text
    assert "for want of information: age" in doubtful.text
    assert verdict(replace(found, validity=validity)).tone == "open"
    assert "not valid here" not in page.text
    assert "for want of information" not in page.text


def test_a_calibration_that_tells_little_is_enough(read, found, nothing):
    page = read(replace(found, calibration={}, provenance={}))
    assert "Flagged: 1 component beyond what healthy scans show" in page.text
    assert "Nothing was recorded" in page.text
    assert verdict(replace(nothing, calibration={})).headline == "Not flagged"


def test_states_the_intended_use(page):
    assert INTENDED_USE in page.text


def test_lists_every_lesion_and_shows_the_heaviest(read, found):
    (lesion,) = found.lesions
    many = tuple(replace(lesion, label=n, mass=10.0 - n, volume_ml=50.0 + n) for n in range(1, 9))
    page = read(replace(found, lesions=many))
    for one in many:
        assert sum(f"{one.volume_ml:.1f} ml" in row for row in page.rows) == 1
    assert len(page.images) == 1 + 6 + 1 + 2, "mosaic, close-ups, counterpart, checks"


def test_needs_nothing_beside_the_file(page):
    assert page.links
    assert all(link.startswith("data:image/webp;base64,") for link in page.links)
    assert all(image["alt"] and int(image["width"]) > 0 for image in page.images)


def test_files_cannot_inject_markup(read, found):
    hostile = "<script>alert(1)</script>"
    detection = replace(
        found,
        id=hostile,
        notes=(hostile,),
        validity=Validity(holds=False, reasons=(hostile,), not_checked=(hostile,)),
        provenance={"model": hostile, "recipe": {"method": hostile}, hostile: hostile},
        seconds={hostile: 1.0},
        checks={hostile: 1.0},
    )
    page = read(detection)
    assert page.text.count(hostile) >= 8, "shown as text"
    assert not re.search(r"<script|url\(|@import|<link|<iframe", page.html)


def test_methods_follow_the_record(page):
    for phrase in (
        "scored by ae [Baur et al. 2021, https://doi.org/10.1016/j.media.2020.101952]",
        "bias field corrected (N4)",
        "resampled to 2 mm",
        "a rim of 1 voxel, smoothed inside the brain (3 mm FWHM), median-filtered over 5 voxels",
        "21 healthy scans that the fit did not see (1,234,567 voxels)",
        "not corrected for multiplicity",
        "z above 3",
        "alpha = 0.1",
    ):
        assert phrase in page.text


def test_methods_tell_the_order_of_the_post_processing(found):
    post = {"order": "median_first", "erode": 3, "smooth_mm": 0.0, "median": 5}
    told = replace(found, provenance=found.provenance | {"recipe": {"post": post}})
    assert "was median-filtered over 5 voxels, cleared of a rim of 3 voxels" in methods_paragraph(
        told
    )


def test_a_page_says_what_the_method_learns_from(found):
    supervised = "healthy scans and lesion masks"
    told = replace(found, provenance=found.provenance | {"learnt_from": supervised})
    assert f"; it learns from {supervised}." in methods_paragraph(told)


@pytest.mark.parametrize(
    ("prep", "phrase"),
    [
        ({"mode": "given", "normalise": "none"}, "came brain-extracted and in the model's space."),
        (
            {"normalise": "percentile", "low": 1.0, "high": 99.0, "clip": True},
            "from percentiles 1 and 99 onto 0 and 1, limited to that range",
        ),
    ],
)
def test_methods_follow_the_preparation(found, prep, phrase):
    assert phrase in methods_paragraph(replace(found, provenance={"recipe": {"prep": prep}}))


FULL = {"mode": "full", "bias": True, "spacing_mm": 2.0}


def of(found, prep, contrast=Contrast.T1W, notes=()):
    """Return the methods paragraph of a scan that was prepared so."""
    (volume,) = found.contrasts.values()
    record = {"recipe": {"prep": prep}}
    return methods_paragraph(
        replace(found, contrasts={contrast: volume}, notes=notes, provenance=record)
    )


@pytest.mark.parametrize(
    ("prep", "phrase"),
    [
        ({}, "The brain was extracted by deepbet [https"),
        ({}, "(N4), the scan registered to MNI152 (affine), and resampled to 2 mm."),
        ({"brain": "template"}, "extracted by registering the head to MNI152"),
        (
            {"brain": "command", "brain_command": "mri_synthstrip -i {in} -m {out}"},
            "extracted by the command 'mri_synthstrip -i {in} -m {out}'",
        ),
        ({"registration": "deformable"}, "to MNI152 (affine, then SyN by ANTs)"),
        ({"template": "/mine/sri24/spgr.nii.gz"}, "registered to spgr.nii.gz (affine)"),
        ({"templates": {"T1w": "t1.nii"}, "template": "t2.nii"}, "registered to t1.nii (affine)"),
        ({"curvature_flow": 3}, "smoothed by curvature flow (3 iterations), and resampled"),
    ],
)
def test_methods_name_each_step_of_a_full_preparation(found, prep, phrase):
    assert phrase in of(found, FULL | prep)


def test_methods_say_where_the_brain_is_from_if_nobody_extracted_it(found):
    assert "The brain was given as a mask, the bias" in of(found, FULL, notes=(GIVEN,))
    assert "The scan came brain-extracted, the bias" in of(found, FULL, notes=(EXTRACTED,))
    assert "deepbet" not in of(found, FULL, notes=(GIVEN,)) + of(found, FULL, notes=(EXTRACTED,))


def test_methods_of_a_ct_name_its_window_and_no_bias_field(found):
    said = of(found, FULL | {"normalise": "window", "window": [0.0, 80.0]}, Contrast.CT)
    assert "by thresholds on Hounsfield units" in said
    assert "values from 0 to 80 HU were scaled onto 0 and 1, limited to that range" in said
    assert "bias" not in said


@pytest.mark.parametrize("mode", ["native", "given"])
def test_methods_say_nothing_of_steps_that_were_not_taken(found, one_slice, mode):
    prep = FULL | {"mode": mode, "curvature_flow": 3, "registration": "deformable"}
    for detection in (found, one_slice):
        said = of(detection, prep)
        for word in ("registered", "SyN", "curvature", "MNI152", "resampled to", "2 mm"):
            assert word not in said
        extracted = mode == "native" and detection is found
        assert ("extracted by deepbet" in said) == extracted
        assert ("(N4), and nothing was resampled" in said) == extracted


def test_methods_say_how_other_contrasts_were_laid_on_the_first(found):
    (volume,) = found.contrasts.values()
    both = replace(
        found,
        contrasts={Contrast.T1W: volume, Contrast.FLAIR: volume},
        provenance={"recipe": {"prep": FULL}},
    )
    said = "the T1w registered to MNI152 (affine), the FLAIR laid on the T1w (rigid)"
    assert said in methods_paragraph(both)


def test_record_has_its_rows(page):
    rows = [re.sub(r"\s+", " ", row).strip() for row in page.rows]
    for row in (
        "Model SHA-256 " + "ab" * 32,
        "Input scan.nii.gz",
        "Seed 7",
        "Versions numpy 2.0",
        "Station ward 3",
        "Brain volume 321 ml",
        "Shift 1.5 mm",
        "Odd undefined",
    ):
        assert row in rows


def test_one_slice(read, one_slice):
    page = read(replace(one_slice, template={}))
    assert "Flagged" in page.text
    assert len(page.images) == 4


def test_empty_brain(read, uncalibrated):
    blank = replace(
        uncalibrated,
        brain=np.zeros_like(uncalibrated.brain),
        anomaly=np.zeros_like(uncalibrated.anomaly),
    )
    assert "0 ml" in read(blank).text


def test_names_every_contrast(found):
    (volume,) = found.contrasts.values()
    both = replace(found, contrasts={Contrast.T1W: volume, Contrast.FLAIR: volume})
    assert "The T1w and FLAIR scan was scored" in methods_paragraph(both)


def test_positions_are_named_by_their_direction():
    assert position((-32.14, 10.0, -5.0)) == "L 32.1, A 10.0, I 5.0 mm"
    assert position(None) == "–"


def test_stays_small(page):
    assert len(page.html) < 1_500_000
