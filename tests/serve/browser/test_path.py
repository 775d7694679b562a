"""The whole path in a real browser: a scan is dropped, questioned, corrected, its mask exported."""

import gzip

import nibabel as nib
import numpy as np


def voxel(image: nib.Nifti1Image, mm: list[float]) -> tuple[int, ...]:
    return tuple(np.rint(np.linalg.solve(image.affine, [*mm, 1])[:3]).astype(int))


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
    result = reader.detect(made.scan, "atlas")
    assert page.locator(".verdict-head h1").inner_text().startswith("Flagged")

    details = page.request.get(f"{reader.origin}/api/results/{result}").json()
    peak = details["detection"]["lesions"][0]["peak_mm"]
    page.locator("tr.lesion td").first.click()
    assert np.allclose(reader.crosshair(), peak, atol=4)  # a click goes there
    page.locator(".why .healthy").wait_for()  # and says why it is flagged
    move_the_threshold(page)

    page.locator("tr.lesion .accept").first.click()
    reader.sign()
    page.locator('tr.lesion[data-verdict="accept"]').wait_for()
    painted = paint(reader)

    scan = nib.load(made.scan)
    mask = nib.Nifti1Image.from_bytes(gzip.decompress(reader.exported(result, "mask.nii.gz")))
    assert mask.shape == scan.shape
    assert np.allclose(mask.affine, scan.affine)
    assert np.asarray(mask.dataobj)[voxel(mask, painted)] > 0
    assert np.asarray(mask.dataobj)[voxel(mask, peak)] > 0
    table = reader.exported(result, "lesions.tsv").decode()
    assert "accept" in table
    assert "Röntgen" in table
    # nothing was written over the result
    kept = reader.image(result, "mask.nii.gz")
    assert np.asarray(kept.dataobj)[voxel(mask, painted)] == 0
