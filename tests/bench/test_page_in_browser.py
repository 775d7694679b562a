"""The leaderboard in a real browser, from its file: sorting, filtering, pointing, its colours."""

import itertools
import json
import re
import sys
from pathlib import Path

import pytest
from playwright.sync_api import expect, sync_playwright

from hale.bench.page import write_page

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "serve/browser"))
from chromium import launched
from made_board import HOSTILE, hostile, make_board

ODD = "#cohort-0"


@pytest.fixture(scope="module")
def chromium():
    with sync_playwright() as playwright:
        browser = launched(playwright, ["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def board(tmp_path_factory):
    folder = tmp_path_factory.mktemp("leaderboard")
    told = json.loads(json.dumps(make_board(folder)))
    return told, write_page(told, folder).as_uri()


@pytest.fixture
def visit(chromium):
    """Return a function that opens a page; nothing may go wrong on it, or leave the file."""
    wrong, opened = [], []

    def open_page(uri, **how):
        page = chromium.new_page(**how)
        opened.append(page)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda message: wrong.append(message.text))
        page.on("dialog", lambda dialog: wrong.append(dialog.message))
        page.on("request", lambda request: _note_foreign(request.url, uri, wrong))
        page.goto(uri)
        return page

    yield open_page
    for page in opened:
        page.close()
    assert wrong == []


def _note_foreign(url, uri, wrong):
    if not url.startswith(("data:image/png", uri.split("#")[0])):
        wrong.append(url)


@pytest.fixture
def page(visit, board):
    return visit(board[1], viewport={"width": 1440, "height": 900})


def titles(page, where=ODD):
    """Return the methods of the shown rows, group by group."""
    bodies = page.locator(f"{where} tbody[data-rows]:not([hidden])").all()
    return [body.locator("tr.result:not([hidden]) th a").all_inner_texts() for body in bodies]


def values(page, key, where=ODD):
    """Return a column's numbers, group by group."""
    read = f"""bodies => bodies.map(body => [...body.querySelectorAll('.result [data-key="{key}"]')]
        .map(cell => parseFloat(cell.dataset.sort)))"""
    return page.locator(f"{where} tbody[data-rows]").evaluate_all(read)


def head(page, key, where=ODD):
    return page.locator(f'{where} thead [data-key="{key}"]')


def test_a_click_sorts_within_each_group_and_says_so(page):
    before = titles(page)
    head(page, "oracle").get_by_role("button").click()
    assert head(page, "oracle").get_attribute("aria-sort") == "descending"
    assert head(page, "auprc_own").get_attribute("aria-sort") == "none"
    for group in values(page, "oracle"):
        assert group == sorted(group, reverse=True)
    head(page, "oracle").get_by_role("button").click()
    assert head(page, "oracle").get_attribute("aria-sort") == "ascending"
    for group in values(page, "oracle"):
        assert group == sorted(group)
    assert [set(group) for group in titles(page)] == [set(group) for group in before]
    assert titles(page)[-1] == ["Segmented diffusion"], "supervised: apart, however they are sorted"
    assert page.locator("#said").inner_text() == "Sorted by oracle, ascending."


def test_only_the_table_of_the_header_is_sorted(page):
    before = titles(page, "#cohort-1")
    head(page, "method").get_by_role("button").click()
    assert titles(page)[1] == sorted(titles(page)[1])
    assert titles(page, "#cohort-1") == before


@pytest.mark.parametrize("key", ["Enter", "Space"])
def test_the_keyboard_sorts(page, key):
    head(page, "auprc_own").get_by_role("button").focus()
    page.keyboard.press("Tab")
    page.keyboard.press(key)
    assert head(page, "against").get_attribute("aria-sort") == "descending"
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline != "none", "where the focus is can be seen"


def test_gaps_are_sorted_smallest_first(page):
    head(page, "gap_alpha").get_by_role("button").click()
    assert head(page, "gap_alpha").get_attribute("aria-sort") == "ascending"
    assert values(page, "gap_alpha")[1] == sorted(values(page, "gap_alpha")[1])


def test_what_is_undefined_comes_last_either_way(page):
    for _ in range(2):
        head(page, "alpha").get_by_role("button").click()
        assert titles(page)[0][-1] == "Left-right asymmetry"


def choose(page, **wanted):
    for name, value in wanted.items():
        page.locator(f'[data-filter="{name}"]').select_option(value)


def shown(page):
    """Return the indices of the rows that are to be seen."""
    return rows_of(page, "tr.result:visible")


def rows_of(page, selector):
    """Return which rows the elements belong to."""
    return set(page.locator(selector).evaluate_all("found => found.map(one => one.dataset.row)"))


@pytest.mark.parametrize(
    "wanted",
    [
        {"contrast": "T1w"},
        {"disease": "glioma"},
        {"supervision": "healthy scans"},
        {"cohort": "soop-odd"},
        {"contrast": "FLAIR", "supervision": "the scan itself"},
        {"contrast": "FLAIR", "disease": "planted"},
    ],
)
def test_filters_keep_the_rows_that_agree(page, board, wanted):
    choose(page, **wanted)
    rows = board[0]["rows"]
    kept = {
        str(n)
        for n, row in enumerate(rows)
        if all(row[name] == value for name, value in wanted.items())
    }
    assert shown(page) == kept
    assert page.locator("#said").inner_text() == f"{len(kept)} of {len(rows)} rows"
    cohorts = {rows[int(n)]["cohort"] for n in kept}
    sections = page.locator('section.cohort[id^="cohort-"]:visible')
    assert sections.count() == len(cohorts)
    assert rows_of(page, "details.card:visible") == kept
    assert rows_of(page, ".legend [data-row]:visible") <= kept
    assert rows_of(page, ".chart .curve:not([hidden])") <= kept
    page.get_by_role("button", name="Clear").click()
    expect(page.locator("tr.result[hidden]")).to_have_count(0)
    assert len(shown(page)) == len(rows)


def test_strips_show_another_figure(page, board):
    case = board[0]["rows"][0]["cases"][0]
    dot = page.locator(f'{ODD} tr[data-row="0"] .dot').first
    assert float(dot.get_attribute("cx")) == pytest.approx(8 + 194 * case["auprc_own"], abs=0.1)
    page.locator("#measure").select_option(label="dice_at_alpha")
    assert float(dot.get_attribute("cx")) == pytest.approx(8 + 194 * case["dice_at_alpha"], abs=0.1)
    assert page.locator(f"{ODD} .shown").inner_text() == "Every scan: dice_at_alpha"
    asymmetry = page.locator(f'{ODD} tr[data-row="1"] .dot')
    assert asymmetry.count() == asymmetry.and_(page.locator("[hidden]")).count() == 9
    page.get_by_role("button", name="Clear").click()
    expect(page.locator(".shown").first).to_have_text(re.compile("AUPRC of the score$"))
    assert float(dot.get_attribute("cx")) == pytest.approx(8 + 194 * case["auprc_own"], abs=0.1)


def test_pointing_at_a_scan_shows_it_in_every_row(page):
    dot = page.locator(f'{ODD} tr[data-row="2"] .dot').first
    dot.hover()
    held = page.locator(".dot.held")
    assert held.count() == 6
    assert {one.get_attribute("data-id") for one in held.all()} == {"sub-00"}
    assert re.fullmatch(
        r"sub-00, lesion [\d.]+ ml: AUPRC of the score 0\.\d{3}", page.locator("#tip").inner_text()
    )


def test_a_curve_is_held_by_keyboard(page):
    button = page.locator(f'{ODD} [data-hold="3"]')
    button.focus()
    page.keyboard.press("Enter")
    assert button.get_attribute("aria-pressed") == "true"
    held = page.locator(f"{ODD} .chart .curve.held")
    assert {one.get_attribute("data-row") for one in held.all()} == {"3"}
    assert held.count() == 2, "precision and recall, and FROC"
    page.keyboard.press("Enter")
    assert page.locator(".curve.held, .curve.dimmed").count() in (0, 12), "lit while focused"


def test_a_method_leads_to_its_card(page):
    card = page.locator("#card-3")
    assert card.get_attribute("open") is None
    page.locator('a[href="#card-3"]').click()
    expect(card).to_have_attribute("open", "")
    assert card.get_by_text("Model SHA-256").is_visible()
    assert card.locator("img").first.evaluate("image => image.complete && image.naturalWidth > 0")
    top = card.evaluate("card => card.getBoundingClientRect().top")
    bar = page.locator(".bar").evaluate("bar => bar.getBoundingClientRect().bottom")
    assert bar - 1 <= top < 900, "not under the bar"


def test_a_link_from_elsewhere_opens_the_card(visit, board):
    page = visit(board[1] + "#card-2")
    assert page.locator("#card-2").evaluate("card => card.open")


def test_names_of_others_do_nothing(visit, board, tmp_path):
    told = hostile(board[0])
    page = visit(write_page(told, tmp_path).as_uri())
    assert page.locator("h1").inner_text() == "A made suite" + HOSTILE
    choose(page, cohort="soop-odd" + HOSTILE)
    assert len(shown(page)) == 6
    page.locator(f"{ODD} .dot").first.hover()
    assert HOSTILE in page.locator("#tip").inner_text()


@pytest.mark.parametrize("width", [340, 700, 1024, 1440])
def test_only_tables_scroll_sideways(visit, board, width):
    page = visit(board[1], viewport={"width": width, "height": 800})
    page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    if width == 1440:
        board_width = page.locator(f"{ODD} .scroll").first.evaluate(
            "box => box.scrollWidth - box.clientWidth"
        )
        assert board_width <= 0, "a laptop shows all columns"


def test_tables_that_scroll_can_be_reached_by_keyboard(page):
    boxes = page.locator(".scroll")
    assert boxes.count() > 50
    assert boxes.and_(page.locator('[tabindex="0"][role="region"][aria-label]')).count() == (
        boxes.count()
    )


def luminance(colour):
    """Return the relative luminance of a hex colour (WCAG 2.2)."""
    parts = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_have_contrast(visit, board, scheme):
    page = visit(board[1], color_scheme=scheme)
    names = ["paper", "raised", "apart-back", "ink", "quiet", "accent", "better", "worse", "apart"]
    names += [f"tone{n}" for n in range(6)]
    style = "getComputedStyle(document.documentElement)"
    read = f"names => names.map(name => {style}.getPropertyValue('--' + name).trim())"
    tone = dict(zip(names, page.evaluate(read, names), strict=True))
    assert (luminance(tone["paper"]) < 0.5) == (scheme == "dark")
    texts, grounds = names[3:9], names[:3]
    for text, ground in itertools.product(texts, grounds):
        assert contrast(tone[text], tone[ground]) >= 4.5, (text, ground)
    for n in range(6):
        assert contrast(tone[f"tone{n}"], tone["paper"]) >= 3


def test_paper_is_white_whatever_the_screen(visit, board):
    page = visit(board[1], color_scheme="dark")
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.locator(".bar").is_hidden()
    assert page.locator(f"{ODD} .board").is_visible()
