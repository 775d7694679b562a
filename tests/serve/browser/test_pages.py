"""Every page: what it shows, by keyboard alone, for those who see or hear it otherwise."""

import sys
from pathlib import Path

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe

sys.path.insert(0, str(Path(__file__).parent))
from made import MM

LEVELS = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}


def complaints(reader) -> list[str]:
    """Return what axe finds wrong with the page as it is."""
    found = Axe().run(reader.page, options=LEVELS).response["violations"]
    return [f"{one['id']}: {node['html'][:200]}" for one in found for node in one["nodes"]]


def places(reader) -> list[str]:
    """Return the address of each kind of page."""
    ids = reader.results()
    bench = reader.page.request.get(f"{reader.origin}/api/benchmarks").json()[0]["id"]
    return [
        f"#/result/{ids['atlas']}",
        f"#/compare/{ids['atlas']}/{ids['intensity']}",
        f"#/bench/{bench}",
        "#/nowhere",
        "#/result/0000000000000000",
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_has_nothing_to_say(visit, scheme):
    reader = visit(color_scheme=scheme)
    assert reader.page.evaluate("document.documentElement.dataset.theme") == scheme
    assert complaints(reader) == []
    reader.page.keyboard.press("?")
    reader.page.locator("dialog[open]").wait_for()
    assert complaints(reader) == []
    reader.page.keyboard.press("Escape")
    for place in places(reader)[:4]:
        reader.go(place)
        assert complaints(reader) == [], place


def test_a_result_is_opened_and_looked_at_by_keyboard_alone(visit):
    reader = visit()
    page, press = reader.page, reader.page.keyboard.press
    link = page.locator(f'tbody a[href="#/result/{reader.results()["atlas"]}"]').last
    for _ in range(60):
        press("Tab")
        if link.evaluate("element => element === document.activeElement"):
            break
    press("Enter")
    page.wait_for_selector('body[data-ready^="#/result/"]')

    press("1")
    before = reader.crosshair()
    press("PageUp")
    up = reader.crosshair()
    assert np.allclose(np.subtract(up, before), [0, 0, MM], atol=0.01)
    page.locator(".pane canvas").focus()
    press("ArrowRight")  # to the patient's left, which is on the right
    assert np.allclose(np.subtract(reader.crosshair(), up), [-MM, 0, 0], atol=0.01)

    coloured = reader.colours()
    press("a")
    press("m")
    page.get_by_text("Mask off").wait_for()
    assert reader.colours() < 0.5 * coloured


def test_a_result_is_questioned_and_corrected_by_keyboard_alone(visit):
    reader = visit()
    reader.open("atlas")
    page, press = reader.page, reader.page.keyboard.press
    z = float(page.locator("#threshold").input_value())
    press("]")
    assert float(page.locator("#threshold").input_value()) == pytest.approx(z + 0.1)
    press("[")
    page.locator("tr.lesion .reject").first.wait_for()
    press("n")
    press("r")
    page.locator("#who").fill("KB")
    press("Enter")
    page.locator('tr.lesion[aria-current="true"][data-verdict="reject"]').wait_for()

    page.locator(".pane canvas").focus()
    press("d")
    page.locator('.stage[data-tool="paint"]').wait_for()
    drawn = "document.querySelector('.pane').pane.nv.drawBitmap.filter(Boolean).length"
    before = page.evaluate(drawn)
    press("Home")  # ten slices up, where no lesion is
    reader.settled()
    press("Space")
    assert page.evaluate(drawn) > before
    press("Control+z")
    assert page.evaluate(drawn) == before


def test_scan_and_pseudo_healthy_side_by_side_and_swiped(visit):
    reader = visit()
    reader.open("atlas")
    page = reader.page
    page.keyboard.press("x")
    page.locator(".pane").nth(1).wait_for()
    reader.settled()
    page.keyboard.press("PageUp")
    first, second = page.evaluate(
        "async () => { const panes = Array.from(document.querySelectorAll('.pane'), (f) => f.pane);"
        " while (panes[0].busy) await panes[0].busy; return panes.map((pane) => pane.mm()); }"
    )
    assert np.allclose(first, second, atol=0.01)  # the crosshairs are linked
    page.keyboard.press("s")
    page.locator(".pane.above").wait_for()
    page.locator(".swipe").fill("20")
    assert "20%" in page.locator(".pane.above").evaluate("element => element.style.clipPath")
    page.keyboard.press("s")
    page.locator(".pane.above").wait_for(state="detached")


def test_two_methods_and_where_they_disagree(visit):
    reader = visit()
    ids = reader.results()
    page = reader.page
    for model in ("atlas", "intensity"):
        page.locator(f'tr[data-result="{ids[model]}"] input').check()
    page.get_by_role("button", name="Compare two").click()
    reader.wait(f"#/compare/{ids['atlas']}/{ids['intensity']}")
    told = page.request.get(
        f"{reader.origin}/api/compare?a={ids['atlas']}&b={ids['intensity']}"
    ).json()
    assert page.locator(".panel tbody tr").count() == len(told["table"]) > 0
    page.get_by_role("radio", name="Disagreement").click()
    page.get_by_text("ranks it higher").wait_for()
    assert reader.colours() > 100


def test_a_case_of_a_benchmark_in_three_colours(visit):
    reader = visit()
    page = reader.page
    page.get_by_role("link", name="A made suite").click()
    page.wait_for_selector('body[data-ready^="#/bench/"]')
    page.get_by_text("true").first.wait_for()
    said = page.locator(".stage [role=status]").inner_text()
    assert "missed" in said, said
    shown = page.evaluate(
        "Array.from(new Set(document.querySelector('.pane').pane.nv.volumes[1].img)).sort()"
    )
    assert set(shown) <= {0, 1, 2, 3}
    assert {1} <= set(shown)
    assert reader.colours() > 20


def test_the_table_is_sorted_and_filtered(visit):
    reader = visit()
    page = reader.page
    page.get_by_role("button", name="Model").click()
    models = [text.strip() for text in page.locator("tbody tr td:nth-child(4)").all_inner_texts()]
    assert models == sorted(models)
    page.get_by_role("button", name="Model").click()
    assert page.locator('th[aria-sort="descending"]').inner_text().startswith("Model")
    page.get_by_label("Filter by words").fill("atlas")
    assert page.locator("tbody tr").count() == 1
    assert "1 result of 2" in page.locator("caption").inner_text()


def test_narrow_windows_do_not_scroll_sideways(visit):
    reader = visit(width=420, height=740)
    wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    for place in ("#/", *places(reader)[:2]):
        if place != "#/":
            reader.go(place)
        assert reader.page.evaluate(wide) <= 0, place
        assert reader.page.evaluate("document.querySelector('main').scrollTop") == 0, place


def test_without_webgl_it_says_so(visit):
    reader = visit()
    page = reader.page
    page.evaluate("HTMLCanvasElement.prototype.getContext = function () { return null; }")
    reader.open("atlas")
    assert "WebGL2" in page.get_by_role("alert").inner_text()


def test_the_choice_of_colours_is_kept(visit):
    reader = visit(color_scheme="light")
    page = reader.page
    for _ in range(2):
        page.get_by_role("button", name="Colours").click()
    page.reload()
    reader.wait("#/")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"


def test_no_script_from_elsewhere_could_run(visit):
    reader = visit()
    policy = next(policy for policy in reader.policies if "script-src" in policy)
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert "token" not in reader.page.url
