"""Folders are dropped and chosen, down to a DICOM SEG; jobs are cancelled; swipe and blink."""

import io
import shutil
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect
from pydicom import dcmread

sys.path.insert(0, str(Path(__file__).parents[2] / "io"))
from dicom_series import NAME, T1_TIMES, Exam, Stack, write_classic

BLINKS_MS = 3_000
ABOVE = ".pane.above"


@pytest.fixture
def series(made, tmp_path) -> list[Path]:
    """The scan with the lesion as a scanner writes it, two folders deep; a file a slice."""
    image = nib.load(made.scan)
    stack = Stack(values=np.asarray(image.dataobj), affine=image.affine)
    tags = {**T1_TIMES, "SeriesNumber": 3, "SeriesDescription": "t1"}
    return write_classic(tmp_path / "disc/ST1/SE3", stack, tags, exam=Exam())


def drop_folder(page, folder: Path) -> None:
    """Drop a folder from a file manager: the browser itself reads it."""
    box = page.locator("#drop").bounding_box()
    place = {"x": box["x"] + 20, "y": box["y"] + 20}
    data = {"items": [], "files": [str(folder)], "dragOperationsMask": 1}
    devtools = page.context.new_cdp_session(page)
    for kind in ("dragEnter", "dragOver", "drop"):
        devtools.send("Input.dispatchDragEvent", {"type": kind, "data": data, **place})


def start(page, model: str) -> None:
    """Start what was brought with one model."""
    form = page.locator("form.start")
    form.wait_for()
    for box in form.locator(".models input:checked").all():
        box.uncheck()
    form.locator(".models label", has_text=model).first.locator("input").check()
    form.get_by_role("button", name="Start").click()
    form.wait_for(state="detached")


def seen(reader) -> np.ndarray:
    """Return what the picture's place shows, once no message lies over it."""
    reader.settled()
    reader.page.locator("#said:empty").wait_for(state="attached")
    shot = reader.page.locator(".panes").screenshot()
    return np.asarray(Image.open(io.BytesIO(shot)).convert("RGB")).astype(int)


def test_a_dropped_dicom_folder_becomes_a_dicom_seg(visit, series, tmp_path):
    reader = visit()
    page = reader.page
    drop_folder(page, tmp_path / "disc")
    page.get_by_text("1 exam").wait_for()
    assert "T1w" in page.locator("form.start").inner_text()
    assert page.locator("#series").count() == 1
    start(page, "atlas")
    job = page.locator(".job").first
    expect(job).to_have_attribute("data-state", "done", timeout=180_000)
    job.get_by_role("link").last.click()
    page.wait_for_selector('body[data-ready^="#/result/"]')
    result = page.evaluate("location.hash").split("/")[-1]

    with page.expect_download() as loaded:
        page.get_by_role("link", name="Mask, DICOM SEG").click()
    seg = dcmread(loaded.value.path())
    assert seg.Modality == "SEG"
    one = dcmread(series[0])
    assert seg.StudyInstanceUID == one.StudyInstanceUID
    assert seg.ReferencedSeriesSequence[0].SeriesInstanceUID == one.SeriesInstanceUID
    assert str(seg.PatientName) != NAME
    mask = np.asarray(reader.image(result, "mask.nii.gz").dataobj)
    assert len(seg.SegmentSequence) == mask.max() > 0
    assert np.count_nonzero(seg.pixel_array) == np.count_nonzero(mask)


def test_scan_and_pseudo_healthy_in_one_place(visit):
    """Swiped, each shows on its side of the edge; blinking, the one and the other in turn."""
    reader = visit()
    page, press = reader.page, reader.page.keyboard.press
    reader.open("atlas")
    press("1")
    press("o")
    page.locator("#said", has_text="The scan alone").wait_for()
    scan = seen(reader)
    press("s")
    page.locator(f"{ABOVE}[data-picture]").wait_for()
    swipe = page.locator(".swipe")
    pictures = {}
    for share in (0, 50, 100):
        swipe.fill(str(share))
        pictures[share] = seen(reader)
    width = scan.shape[1]
    left, right = np.s_[60:, : width // 2 - 8], np.s_[60:, width // 2 + 8 :]
    assert (pictures[0][right] != pictures[100][right]).any()
    assert np.array_equal(pictures[50][left], pictures[100][left])
    assert np.array_equal(pictures[50][right], pictures[0][right])

    press("b")
    for _ in range(2):
        page.locator(f"{ABOVE}:not(.away)").wait_for(timeout=BLINKS_MS)
        page.locator(f"{ABOVE}.away").wait_for(state="attached", timeout=BLINKS_MS)
    press("b")
    page.locator(ABOVE).wait_for(state="detached")


def test_jobs_that_wait_or_run_are_cancelled(visit, made, tmp_path):
    reader = visit()
    page = reader.page
    before = reader.results()
    folder = tmp_path / "study/sub-98/anat"
    folder.mkdir(parents=True)
    shutil.copy(made.scan, folder / "sub-98_T1w.nii.gz")
    for _ in range(2):
        page.locator("input[webkitdirectory]").set_input_files(tmp_path / "study")
        page.get_by_text("1 exam").wait_for()
        start(page, "GAN that learns from this scan")
        page.locator(".job", has_text="sub-98").first.wait_for()
    running = page.locator('.job[data-state="running"]')
    running.wait_for()
    waiting = page.locator('.job[data-state="queued"]')
    expect(waiting.locator(".job-words")).to_contain_text("1 job before it")
    expect(page.locator("#working")).to_have_text("2 jobs at work")
    waiting.get_by_role("button", name="Cancel sub-98").click()
    page.locator('.job[data-state="cancelled"]').wait_for()
    assert running.count() == 1
    running.get_by_role("button", name="Cancel sub-98").click()
    expect(page.locator('.job[data-state="cancelled"]')).to_have_count(2)
    expect(page.locator("#working")).to_be_hidden()
    page.get_by_role("button", name="Dismiss sub-98").first.click()
    expect(page.locator(".job", has_text="sub-98")).to_have_count(1)
    assert reader.results() == before
