"""What the pages promise of false alarms, where p-values hold and where not; what they must ask."""

import json
import shutil

import pytest


@pytest.fixture
def bounds(made) -> tuple[float, float]:
    """Shares of healthy scans that the calibration may flag, as the result has them."""
    detection = json.loads((made.results / "atlas/sub-99/detection.json").read_text())
    assert detection["p_values"]["holds"]
    low, high = detection["calibration"]["rate_interval"]
    return low, high


def doubted(route) -> None:
    """Answer as if the scan differed from the healthy ones."""
    details = route.fetch().json()
    details["detection"]["p_values"] |= {"holds": False, "reasons": ["another scanner"]}
    route.fulfill(json=details)


def share(value: float) -> str:
    return f"{float(f'{100 * value:.{2 if value < 0.1 else 3}g}'):g} %"


def test_the_rate_is_promised_on_average_and_only_where_p_values_hold(visit, bounds):
    reader = visit()
    page = reader.page
    result = reader.open("atlas")
    cost = page.locator(".cost")
    page.get_by_text("On average at most 20 % of healthy scans are flagged").wait_for()
    assert f"between {share(bounds[0])} and {share(bounds[1])}" in cost.inner_text()
    assert "beyond what 80 % of healthy scans show" in page.locator(".verdict-head h1").inner_text()
    page.locator(".why dt", has_text="Other side").wait_for()
    assert "found by the " in page.locator(".why").inner_text()
    page.keyboard.press("[")
    page.get_by_text("chosen after looking").wait_for()
    assert "On average" not in cost.inner_text()
    assert "not valid" not in page.locator(".findings").inner_text()

    page.route(f"**/api/results/{result}", doubted)
    page.reload()
    reader.wait(f"#/result/{result}")
    page.get_by_text("No promise for this scan").wait_for()
    assert "On average" not in cost.inner_text()
    headline = page.locator(".verdict-head h1").inner_text()
    assert headline.startswith("Flagged, in doubt")
    assert "healthy scans" not in headline
    page.keyboard.press("[")
    page.get_by_text("chosen after looking, so no promise").wait_for()
    assert "not valid here" in page.locator(".findings").inner_text()


def test_a_contrast_that_the_files_do_not_say_is_asked_for(visit, made, tmp_path):
    reader = visit()
    page = reader.page
    posted = []
    page.route(
        "**/api/jobs",
        lambda route: (
            (posted.append(route.request.post_data_json), route.fulfill(json={}))
            if route.request.method == "POST"
            else route.fulfill(json=[])
        ),
    )
    scan = tmp_path / "head.nii.gz"
    shutil.copy(made.scan, scan)
    for file, contrast in ((made.scan, None), (scan, "FLAIR")):
        reader.drop(file)
        form = page.locator("form.start")
        form.wait_for()
        if contrast is not None:
            form.get_by_role("button", name="Start").click()
            assert form.locator("#contrast:invalid").count() == 1  # nothing is sent
            form.locator("#contrast").select_option(contrast)
        assert len(posted) == (contrast is not None)
        form.get_by_role("button", name="Start").click()
        form.wait_for(state="detached")
        assert posted[-1].get("contrast") == contrast


def test_an_ended_job_is_dismissed(visit):
    reader = visit()
    page = reader.page
    jobs = [{"id": "j1", "name": "head", "models": [], "state": "failed", "reason": "is a cat"}]
    page.route("**/api/jobs", lambda route: route.fulfill(json=jobs))
    page.route("**/api/jobs/j1", lambda route: (jobs.clear(), route.fulfill(json={})))
    page.get_by_text("is a cat").wait_for()
    page.get_by_role("button", name="Dismiss head").click()
    page.locator('[data-job="j1"]').wait_for(state="detached")
    assert jobs == []


def test_the_scan_is_shown_before_its_map_is_made_ready(visit):
    """And nothing of the map, nor of a threshold, until the station has told its range."""
    reader = visit()
    page = reader.page
    held = []
    page.route("**/api/results/*/range", lambda route: held.append(route))
    place = f"#/result/{reader.results()['atlas']}"
    page.evaluate("place => { location.hash = place; }", place)
    page.locator('.pane[data-picture="T1w"]').wait_for()
    page.get_by_text("The map is being made ready").wait_for()
    assert page.locator(".verdict-head h1").inner_text().startswith("Flagged")
    assert page.locator("#threshold").count() == 0
    assert page.locator(".toolbar[inert]").count() == 1
    assert reader.colours() == 0
    held[0].continue_()
    reader.wait(place)
    page.locator("#threshold").wait_for()
    assert page.locator(".toolbar[inert]").count() == 0
    assert reader.colours() > 20
