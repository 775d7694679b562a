"""The page says what was found, to a reader, in one file."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from hale.core.detection import Validity
from hale.core.scan import Contrast
from hale.report.page import write_report
from hale.report.words import INTENDED_USE, methods_paragraph, position, verdict


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
    assert "Map and ranks only: this method is uncalibrated" in page.text
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
