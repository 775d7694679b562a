"""The whole path in a real browser: a scan is dropped, questioned, corrected, its mask exported."""

import gzip

import nibabel as nib
import numpy as np
import pytest


def exported(reader, result: str, name: str) -> bytes:
    """Return what the page's link gives."""
    link = reader.page.locator(f'a[href="/api/results/{result}/export/{name}"]')
    answer = reader.page.request.get(reader.origin + link.get_attribute("href"))
    assert answer.status == 200, answer.text()
    return answer.body()


def image_of(data: bytes) -> nib.Nifti1Image:
    return nib.Nifti1Image.from_bytes(gzip.decompress(data))


def voxel(image: nib.Nifti1Image, mm: list[float]) -> tuple[int, ...]:
    return tuple(np.rint(np.linalg.solve(image.affine, [*mm, 1])[:3]).astype(int))


def detect_in_page(reader, scan, model: str) -> str:
    """Drop a scan, choose a model, wait for the job, open its last result; return the id."""
    page = reader.page
    reader.drop(scan)
    form = page.locator("form.start")
    form.wait_for()
    for box in form.locator(".models input:checked").all():
        box.uncheck()
    form.locator(".models label", has_text=model).first.locator("input").check()
    form.get_by_role("button", name="Start").click()
    ended = page.locator('.job[data-state="done"], .job[data-state="failed"]').first
    ended.wait_for()
    assert ended.get_attribute("data-state") == "done", ended.inner_text()
    ended.get_by_role("link").last.click()
    page.wait_for_selector('body[data-ready^="#/result/"]')
    return page.evaluate("location.hash").split("/")[-1]


def say_who(page) -> None:
    page.locator("#who").fill("Dr. Röntgen")
    page.keyboard.press("Enter")


def move_the_threshold(page) -> None:
    """Up to where nothing is left, and back to what the calibration keeps."""
    assert "False regions expected in a healthy scan" in page.locator(".cost").inner_text()
    page.locator("#threshold").focus()
    page.keyboard.press("End")
    page.get_by_text("No region at this threshold").wait_for()
    page.get_by_role("button", name="Back to the calibrated threshold").click()
    page.locator("tr.lesion .accept").first.wait_for()


def paint(reader) -> list[float]:
    """Draw a line by mouse from the middle of the axial plane; return where it ended, mm."""
    page = reader.page
    page.get_by_role("radio", name="Axial").click()
    page.get_by_role("radio", name="Brush").click()
    page.locator('.stage[data-tool="paint"]').wait_for()
    page.locator("#brush-size").select_option("5")
    box = page.locator(".pane canvas").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 40, y, steps=4)
    page.mouse.up()
    painted = reader.crosshair()
    page.get_by_role("button", name="Keep the correction").click()
    page.get_by_text("Kept by Dr. Röntgen").wait_for()
    return painted


def test_from_a_dropped_scan_to_an_exported_mask(visit, made):
    reader = visit()
    page = reader.page
    result = detect_in_page(reader, made.scan, "atlas")
    assert page.locator(".verdict-head h1").inner_text().startswith("Flagged")

    details = page.request.get(f"{reader.origin}/api/results/{result}").json()
    peak = details["detection"]["lesions"][0]["peak_mm"]
    page.locator("tr.lesion td").first.click()
    assert np.allclose(reader.crosshair(), peak, atol=4)  # a click goes there
    page.locator(".why .healthy").wait_for()  # and says why it is flagged
    move_the_threshold(page)

    page.locator("tr.lesion .accept").first.click()
    say_who(page)
    page.locator('tr.lesion[data-verdict="accept"]').wait_for()
    painted = paint(reader)

    scan, mask = nib.load(made.scan), image_of(exported(reader, result, "mask.nii.gz"))
    assert mask.shape == scan.shape
    assert np.allclose(mask.affine, scan.affine)
    assert np.asarray(mask.dataobj)[voxel(mask, painted)] > 0
    assert np.asarray(mask.dataobj)[voxel(mask, peak)] > 0
    table = exported(reader, result, "lesions.tsv").decode()
    assert "accept" in table
    assert "Röntgen" in table
    # nothing was written over the result
    kept = page.request.get(f"{reader.origin}/api/results/{result}/files/mask.nii.gz")
    assert np.asarray(image_of(kept.body()).dataobj)[voxel(mask, painted)] == 0


@pytest.mark.slow
def test_a_real_scan_to_a_mask_drawn_from_a_threshold(visit, shared_data):
    reader = visit()
    page = reader.page
    scan = shared_data / "ixi/sub-IXI012/anat/sub-IXI012_T1w.nii.gz"
    result = detect_in_page(reader, scan, "Intensity")
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
    say_who(page)
    page.get_by_text("Kept by").wait_for()

    mask = image_of(exported(reader, result, "mask.nii.gz"))
    answer = page.request.get(f"{reader.origin}/api/results/{result}/files/anomaly.nii.gz")
    anomaly = image_of(answer.body())
    assert np.allclose(mask.affine, anomaly.affine)
    wanted = np.asarray(anomaly.dataobj) > threshold
    wanted[voxel(mask, painted)] = True
    assert wanted.sum() > 100
    different = (np.asarray(mask.dataobj) > 0) != wanted
    assert different.sum() <= 1e-3 * wanted.sum()  # the slider's step in float32
