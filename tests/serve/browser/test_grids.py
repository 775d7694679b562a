"""A mask is kept as the map's file is stored, whatever scan lies under the drawing."""

import gzip
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from playwright.sync_api import expect

sys.path.insert(0, str(Path(__file__).parent))
from visiting import Reader, served

STORED = ("LPS", "PIR")
"""Orders in which the reference, and with it the map, is stored; the other contrasts are RAS+."""
CLOSING = """() => {
  const event = new Event("beforeunload", { cancelable: true });
  return !dispatchEvent(event);
}"""
"""Whether the browser would ask before it closes the page."""
PLACE = [34.0, -42.0, 26.0]
"""Right, behind, above: of no symmetry that an order taken for another would hide. mm."""


def reordered(path: Path, order: str) -> None:
    """Store an image anew, each voxel where it was in space."""
    image = nib.load(path)
    now = nib.orientations.io_orientation(image.affine)
    change = nib.orientations.ornt_transform(now, nib.orientations.axcodes2ornt(order))
    nib.save(nib.Nifti1Image.from_bytes(image.as_reoriented(change).to_bytes()), path)


@pytest.fixture(scope="module")
def station(made, tmp_path_factory) -> Iterator[str]:
    """The result of one scan in two orders, each with a contrast of its grid and one of another."""
    folder = tmp_path_factory.mktemp("stored")
    for order in STORED:
        result = folder / order
        shutil.copytree(made.results / "atlas/sub-99", result)
        for path in result.glob("*.nii.gz"):
            reordered(path, order)
        for contrast, fewer in (("FLAIR", 0), ("T2w", 4)):
            copy = result / f"scan_{contrast}.nii.gz"
            scan = nib.as_closest_canonical(nib.load(result / "scan_T1w.nii.gz"))
            nib.save(scan.slicer[: scan.shape[0] - fewer], copy)
    with served(folder, "--models", str(made.models), "--cache", str(made.cache)) as address:
        yield address


def open_result(reader: Reader, order: str, contrast: str) -> str:
    rows = reader.page.request.get(f"{reader.origin}/api/results").json()
    result = next(row["id"] for row in rows if row["path"] == order)
    reader.go(f"#/result/{result}")
    choose(reader, contrast)
    return result


def choose(reader: Reader, contrast: str) -> None:
    reader.page.get_by_label("Contrast", exact=True).select_option(contrast)
    reader.settled()


def begin(reader: Reader, start: str = "nothing") -> None:
    """Take a brush of one voxel; the drawing starts from what `start` says."""
    page = reader.page
    page.locator("#brush-start").select_option(start)
    page.locator("#brush-size").select_option("1")
    page.get_by_role("radio", name="Brush").click()
    page.locator('.stage[data-tool="paint"]').wait_for()


def paint(reader: Reader) -> None:
    """Paint the voxel at PLACE."""
    reader.page.evaluate("mm => document.querySelector('.pane').pane.to(mm)", PLACE)
    reader.page.locator(".pane canvas").focus()
    reader.page.keyboard.press("Space")


@pytest.mark.parametrize(
    ("order", "contrast", "start"),
    [
        ("LPS", "FLAIR", "nothing"),
        ("LPS", "T1w", "threshold"),
        ("PIR", "FLAIR", "mask"),
        ("PIR", "FLAIR", "threshold"),
    ],
)
def test_a_kept_mask_lies_where_it_was_drawn(visit, order, contrast, start):
    reader = visit()
    page = reader.page
    result = open_result(reader, order, contrast)
    anomaly, automatic = (reader.image(result, f"{name}.nii.gz") for name in ("anomaly", "mask"))
    z = float(page.locator("#threshold").input_value())
    wanted = {
        "nothing": np.zeros(anomaly.shape, bool),
        "mask": np.asarray(automatic.dataobj) > 0,
        "threshold": np.asarray(anomaly.dataobj) > z,
    }[start]
    voxel = np.rint(np.linalg.solve(anomaly.affine, [*PLACE, 1])[:3]).astype(int)
    assert not wanted[tuple(voxel)]
    wanted[tuple(voxel)] = True

    begin(reader, start)
    paint(reader)
    with page.expect_request(lambda asked: asked.method == "PUT") as sent:
        page.get_by_role("button", name="Keep the correction").click()
        reader.sign()
    page.get_by_text("Kept by").wait_for()

    kept = nib.Nifti1Image.from_bytes(gzip.decompress(reader.exported(result, "mask.nii.gz")))
    assert "".join(nib.aff2axcodes(kept.affine)) == order
    assert np.allclose(kept.affine, anomaly.affine)
    assert np.array_equal(np.asarray(kept.dataobj) > 0, wanted)
    told = [float(number) for number in sent.value.headers["x-affine"].split()]
    assert np.allclose(np.reshape(told, (4, 4)), anomaly.affine)
    assert sent.value.headers["x-shape"].split() == list(map(str, anomaly.shape))


def test_no_drawing_over_other_voxels_than_the_maps(visit):
    reader = visit()
    page = reader.page
    open_result(reader, "LPS", "T2w")
    page.get_by_role("radio", name="Brush").click()
    page.get_by_text("T2w has other voxels than the map: choose T1w to draw on").wait_for()
    assert page.evaluate("document.querySelector('.pane').pane.nv.drawBitmap") is None

    choose(reader, "T1w")
    begin(reader)
    choose(reader, "T2w")
    page.get_by_text("T2w has other voxels than the map, on which you draw").wait_for()
    assert page.get_by_label("Contrast", exact=True).input_value() == "T1w"
    assert page.locator(".pane").first.get_by_text("T1w").is_visible()


def asked_on_leaving(page, result) -> str:
    """Leave a result, think again, and return what was asked; it is still shown."""
    asked = []
    page.once("dialog", lambda dialog: (asked.append(dialog.message), dialog.dismiss()))
    page.locator("a.brand").click()
    expect(page).to_have_url(re.compile(f"#/result/{result}$"))
    (question,) = asked
    return question


def test_a_drawing_that_is_not_kept_is_not_lost_unasked(visit):
    reader = visit()
    page = reader.page
    result = open_result(reader, "LPS", "T1w")
    begin(reader)
    assert not page.evaluate(CLOSING)
    paint(reader)
    assert page.evaluate(CLOSING)

    assert asked_on_leaving(page, result) == "Your correction is not kept yet. Leave, and lose it?"
    assert page.get_by_role("button", name="Keep the correction").is_enabled()
    page.once("dialog", lambda dialog: dialog.accept())
    page.locator("a.brand").click()
    reader.wait("#/")
    assert not page.evaluate(CLOSING)


def test_a_comment_that_is_not_kept_is_not_lost_unasked(visit):
    reader = visit()
    page = reader.page
    result = open_result(reader, "LPS", "T1w")
    comment = page.get_by_label("Comment")
    keep = page.get_by_role("button", name="Keep the comment")
    assert keep.is_disabled()
    comment.fill("Old infarct?")
    page.locator("tr.lesion td").first.click()  # looking at a lesion leaves it there
    assert comment.input_value() == "Old infarct?"
    assert page.evaluate(CLOSING)
    assert asked_on_leaving(page, result) == "Your comment is not kept yet. Leave, and lose it?"

    keep.click()
    reader.sign()
    page.get_by_text("The comment is kept.").wait_for()
    assert keep.is_disabled()
    assert not page.evaluate(CLOSING)
    page.locator("a.brand").click()
    reader.wait("#/")
    review = page.request.get(f"{reader.origin}/api/results/{result}/review").json()
    assert review["comment"] == "Old infarct?"


def test_where_all_planes_are_shown_the_keyboard_paints_in_the_axial_one(visit):
    reader = visit()
    page = reader.page
    open_result(reader, "LPS", "T1w")
    page.get_by_role("radio", name="All").click()
    begin(reader)
    page.locator("#brush-size").select_option("5")
    paint(reader)
    painted, shape = page.evaluate("""() => {
      const { drawBitmap, back } = document.querySelector(".pane").pane.nv;
      return [[...drawBitmap.keys()].filter((n) => drawBitmap[n]), back.dims.slice(1, 4)];
    }""")
    thick = [len(set(axis.tolist())) for axis in np.unravel_index(painted, shape, order="F")]
    assert thick == [5, 5, 1]
