"""The leaderboard's page: one file, every row with its card, nothing told that no test says."""

import base64
import copy
import hashlib
import json
import re
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from hale.bench import words
from hale.bench.charts import MIDDLE, PLOTS, STRIP, dots_of, look
from hale.bench.page import write_page

sys.path.insert(0, str(Path(__file__).parent))
from made_board import CELLS, HOSTILE, METHODS, hostile, make_board

VOID = ("meta", "img", "br", "wbr", "option")


class Element:
    def __init__(self, tag, attributes, parent=None):
        self.tag, self.attributes, self.parent = tag, attributes, parent
        self.children, self.words = [], []

    def find(self, tag, **attributes):
        """Return the elements below of one tag whose attributes hold the given values."""
        found = [child for child in self.children if child.matches(tag, attributes)]
        for child in self.children:
            found += child.find(tag, **attributes)
        return found

    def matches(self, tag, attributes):
        told = {name.rstrip("_").replace("_", "-"): value for name, value in attributes.items()}
        return self.tag == tag and all(
            name in self.attributes
            and (value == self.attributes[name] or value in (self.attributes[name] or "").split())
            for name, value in told.items()
        )

    @property
    def text(self):
        parts = [part if isinstance(part, str) else part.text for part in self.words]
        return re.sub(r"\s+", " ", " ".join(parts)).strip()


class Page(HTMLParser):
    """The tree of a page; every element is closed."""

    def __init__(self, html):
        super().__init__()
        self.html, self.root = html, Element("root", {})
        self.open = self.root
        self.feed(html)
        assert self.open is self.root

    def handle_starttag(self, tag, attrs):
        element = Element(tag, dict(attrs), self.open)
        self.open.children.append(element)
        self.open.words.append(element)
        if tag not in VOID:
            self.open = element

    def handle_startendtag(self, tag, attrs):
        self.open.children.append(Element(tag, dict(attrs), self.open))

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.tag == tag
            self.open = self.open.parent

    def handle_data(self, data):
        self.open.words.append(data)

    def all(self):
        waiting = [self.root]
        while waiting:
            element = waiting.pop()
            waiting += element.children
            yield element


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("leaderboard")


@pytest.fixture(scope="module")
def board(folder):
    return json.loads(json.dumps(make_board(folder)))


@pytest.fixture(scope="module")
def page(board, folder):
    return Page(write_page(board, folder).read_text(encoding="utf-8"))


@pytest.fixture
def sections(page):
    cohorts = page.root.find("section", class_="cohort")[:4]
    return dict(zip(("odd", "planted", "two", "healthy"), cohorts, strict=True))


@pytest.fixture
def read(folder):
    """Return a function that writes a board's page and parses it."""
    return lambda board: Page(write_page(board, folder).read_text(encoding="utf-8"))


def test_needs_nothing_beside_the_file_and_nothing_from_elsewhere(page):
    assert not re.search(r"@import|url\(|<link|<iframe|<form action|fetch\(|import\(", page.html)
    for element in page.all():
        for name, value in element.attributes.items():
            assert not re.match(r"\s*(https?:)?//", value or ""), (element.tag, name)
            if name in ("src", "href"):
                assert value.startswith(("#", "data:image/png;base64,"))


def test_only_its_own_script_may_run(page):
    (script,) = page.root.find("script")
    digest = hashlib.sha256("".join(script.words).encode()).digest()
    policy = page.html.split('http-equiv="Content-Security-Policy" content="')[1].split('"')[0]
    assert f"script-src 'sha256-{base64.b64encode(digest).decode()}'" in policy
    assert policy.startswith("default-src 'none'; img-src data:;")


def test_nothing_in_the_board_becomes_markup(board, read):
    told = hostile(copy.deepcopy(board))
    told["rows"][0]["figures"][f"odd_{HOSTILE}"] = told["rows"][0]["figures"]["auprc"]
    told["rows"][0]["failed"] = [{"id": HOSTILE, "reason": HOSTILE}]
    hurt = read(told)
    assert len(hurt.root.find("script")) == 1
    tags = {element.tag for element in hurt.all()}
    assert "onerror" not in {name for element in hurt.all() for name in element.attributes}
    for image in hurt.root.find("img"):
        assert image.attributes["src"].startswith("data:image/png")
    assert tags <= {element.tag for element in read(board).all()}
    assert hurt.root.text.count("<script>alert(1)</script>") > 100, "shown as text"


def test_every_row_has_a_card_with_all_it_is_from(page, board):
    for index, row in enumerate(board["rows"]):
        (card,) = page.root.find("details", id=f"card-{index}")
        told, said = row["card"], card.text
        for text in ("data_sha256", "split", "recipe_sha256", "commit", "hale"):
            assert told[text] in said
        assert told["recipe"].split("\n")[1] in said
        assert "numpy 2.0 , torch 2.6" in said or "numpy 2.0, torch 2.6" in said
        assert "0.8 s" in said
        assert ("90 min" in said, "2,345,678" in said, "20,000" in said) == (
            row["card"]["learnt_from"] > 0,
        ) * 3
        for case in row["cases"]:
            assert case["id"] in said
        (result,) = page.root.find("tr", class_="result", data_row=str(index))
        assert result.find("a", href=f"#card-{index}")


def test_supervised_rows_stand_apart(sections):
    for section in sections.values():
        *others, last = section.find("tbody", data_rows=None)
        assert last.attributes["class"] == "supervised"
        assert "not ranked with the others" in last.text
        assert [row.find("a")[0].text for row in last.find("tr", class_="result")] == [
            "Segmented diffusion"
        ]
        assert all("Segmented diffusion" not in other.text for other in others)


def test_the_operating_points_stand_side_by_side(sections):
    heads = [head.attributes.get("data-key") for head in sections["odd"].find("th", scope="col")]
    at = heads.index("oracle")
    points = ["oracle", "validation", "alpha", "fpr01", "gap_alpha", "gap_fpr01"]
    assert heads[at : at + 6] == points
    titles = {
        head.attributes.get("data-key"): head.text
        for head in sections["odd"].find("th", scope="col")
    }
    assert titles["oracle"] == "oracle"
    assert titles["validation"] == "labelled validation"
    assert titles["alpha"].replace(" ", "") == "healthyonly:dice_at_alpha"
    assert titles["fpr01"].replace(" ", "") == "healthyonly:dice_at_fpr01"


def test_every_figure_of_an_oracle_says_so():
    assert words.title_of("best_dice_oracle") == "best Dice, threshold per scan (oracle)"
    assert words.title_of("hd95_at_oracle") == "hd95 at oracle"
    assert words.title_of("lesion_recall_small") == "lesions detected, below 1 ml"


def test_figures_come_with_interval_n_and_spread(sections, board):
    row = next(r for r in board["rows"] if r["method"] == "vae")
    figure = row["figures"]["auprc_own"]
    (result,) = sections["odd"].find("tr", class_="result", data_row="3")
    (cell,) = result.find("td", data_key="auprc_own")
    assert f"{figure['value']:.3f}" in cell.text
    assert f"{figure['low']:.3f}–{figure['high']:.3f}" in cell.text
    assert "seeds ± 0.012" in cell.text
    assert "n 9" not in cell.text, "as many as the row has scans"
    planted = sections["planted"].find("td", data_key="validation")[0]
    assert "n 9" in planted.text, "fewer than the row's 12"


def test_a_mark_is_drawn_only_where_the_test_tells(sections, board):
    for name, cohort in (("odd", "soop-odd"), ("planted", "ixi-planted")):
        rows = [row for row in board["rows"] if row["cohort"] == cohort]
        verdicts = [row["against"].get("intensity", {}).get("verdict") for row in rows]
        table = sections[name].find("table", class_="board")[0].text
        assert table.count("▲") == verdicts.count("better") > 0
        assert table.count("▼") == verdicts.count("worse") > 0
        assert table.count("not told apart") == verdicts.count("not told apart") > 0
    assert "1 worse, 1 not told apart" in sections["odd"].text


def test_score_and_map_stand_beside_each_other(sections, board):
    (atlas,) = sections["odd"].find("tr", class_="result", data_row="2")
    figures = board["rows"][2]["figures"]
    for name in ("auprc", "auprc_own"):
        assert f"{figures[name]['value']:.3f}" in atlas.find("td", data_key=name)[0].text
    (asymmetry,) = sections["odd"].find("tr", class_="result", data_row="1")
    both = [asymmetry.find("td", data_key=name)[0].text for name in ("auprc", "auprc_own")]
    assert both[0].split()[0] == both[1].split()[0], "without a standard the map is the score"


def test_the_order_is_by_what_is_compared_within_each_group(sections):
    for body in sections["odd"].find("tbody", data_rows=None):
        rows = body.find("tr", class_="result")
        values = [
            (
                "failed" in row.text,
                -float(row.find("td", data_key="auprc_own")[0].attributes["data-sort"]),
            )
            for row in rows
        ]
        assert values == sorted(values)  # what lacks scans comes last


def test_one_or_two_patients_are_not_ranked(sections):
    two = sections["two"]
    assert words.NO_RANKING in two.text
    table = two.find("table", class_="board")[0]
    names = [row.find("a")[0].text for row in table.find("tr", class_="result")]
    assert names == [title for title, _, _ in METHODS.values()], "the suite's order"
    assert not table.find("button")
    assert all("aria-sort" not in head.attributes for head in table.find("th"))
    assert not {"▲", "▼"} & set(two.text)
    assert two.find("img"), "a figure and a picture"


def test_false_alarms_stand_beside_the_range_that_chance_explains(sections):
    text = sections["odd"].text
    assert "2 of 21 expected 0 to 5" in text
    assert "7 of 21 (expected 0 to 5, outside)" in sections["healthy"].text
    outside = sections["odd"].find("span", class_="worse")
    assert [one.text for one in outside if "of 21" in one.text] == ["7 of 21"]


def test_what_failed_and_what_was_not_run_is_there_with_its_reason(sections, page):
    assert "Not run Denoising diffusion ran out of its time budget" in sections["planted"].text
    assert "StRegA on elsewhere: the scans are not here" in page.root.text
    assert "1 failed" in sections["odd"].text
    assert "sub-77 : the map holds NaN" in sections["odd"].text


def test_all_cells_of_planted_lesions_are_reported(sections):
    (heat,) = sections["planted"].find("table", class_="heat")
    (body,) = heat.find("tbody")
    for row in body.find("tr"):
        assert len(row.find("td")) == len(CELLS)
        assert all(cell.text.endswith(" 4") for cell in row.find("td")), "n"
    heads = [head.text for head in heat.find("th") if head.parent.parent.tag == "thead"]
    assert heads == ["0.5 ml", "4 ml", "20 ml", "Method", *["−3", "−1", "+1", "+3"] * 3]
    assert not sections["odd"].find("table", class_="heat")


def test_a_card_says_if_the_recipe_is_another_or_the_fit_was_cut_short(page):
    said = {n: page.root.find("details", id=f"card-{n}")[0].text for n in (2, 3, 4)}
    assert ["which is not the one that the suite names" in said[n] for n in said] == [1, 0, 0]
    assert ["cut short by its budget" in said[n] for n in said] == [0, 0, 1]
    assert "Scans learnt from 99" in said[3]


def test_figures_that_are_undefined_are_named_apart(page):
    (card,) = page.root.find("details", id="card-1")
    assert "Undefined here: Dice of the mask (healthy-only); Dice at p ≤ 0.01" in card.text


def test_a_cell_that_nobody_scored_is_a_dash(board, read):
    short = copy.deepcopy(board)
    row = next(row for row in short["rows"] if row["by_lesion"])
    row["by_lesion"] = row["by_lesion"][1:]
    (heat,) = read(short).root.find("table", class_="heat")
    cells = [cell.text for cell in heat.find("td")]
    assert cells.count("–") == 1


def test_undefined_is_a_dash_that_sorts_nowhere(sections):
    (asymmetry,) = sections["odd"].find("tr", class_="result", data_row="1")
    (cell,) = asymmetry.find("td", data_key="alpha")
    assert cell.text == "–"
    assert cell.attributes["data-sort"] == ""


def test_pictures_are_in_the_page_and_only_those_of_its_folder(board, folder, read):
    (folder.parent / "secret.png").write_bytes(b"secret")
    (folder / "notes.txt").write_bytes(b"secret")
    spied = copy.deepcopy(board)
    for row, name in zip(spied["rows"], ("../secret.png", "notes.txt", "none.png"), strict=False):
        row["pictures"]["best"][0]["file"] = name
    page = read(spied)
    assert base64.b64encode(b"secret").decode() not in page.html
    shown = [len(page.root.find("details", id=f"card-{n}")[0].find("img")) for n in range(4)]
    assert shown == [1, 1, 1, 2]


def test_a_board_of_one_row_or_of_nothing_is_a_page(board, read):
    empty = board | {"rows": [], "missing": []}
    assert "Nothing was run on this cohort" in read(empty).root.text
    one = board | {"rows": board["rows"][:1], "missing": []}
    assert len(read(one).root.find("tr", class_="result")) == 1


def test_filters_offer_what_the_rows_hold(page):
    filters = {
        select.attributes["data-filter"]: [o.attributes["value"] for o in select.find("option")]
        for select in page.root.find("select")
        if "data-filter" in select.attributes
    }
    assert filters["cohort"] == ["", "soop-odd", "ixi-planted", "tcga", "ixi-test"]
    assert filters["contrast"] == ["", "FLAIR", "T1w"]
    assert filters["disease"] == ["", "stroke", "planted", "glioma", "healthy"]
    assert len(filters["supervision"]) == 4


def test_axes_put_values_where_they_belong():
    assert tuple(STRIP.at(x) for x in (0.0, 0.5, 1.0, 7.0)) == (8, 105, 202, 202)
    froc = PLOTS[1].x
    assert froc.at(0.125) == froc.start
    assert froc.at(16.0) == froc.end
    assert froc.at(2.0) - froc.at(1.0) == pytest.approx(froc.at(8.0) - froc.at(4.0), abs=0.2)


def test_a_curve_ends_where_its_axis_does():
    told = {"false_per_scan": [0.01, 0.05, 1, 16, 40], "recall": [0.1, 0.2, 0.5, None, 0.9]}
    y = PLOTS[1].y
    assert PLOTS[1].path({"froc": told}) == (
        f"M{PLOTS[1].x.start:.1f} {y.at(0.2)} L{PLOTS[1].x.at(1.0)} {y.at(0.5)}"
    )
    assert PLOTS[0].path({"froc": told}) == ""


def test_a_curve_does_not_turn_back_where_findings_merge():
    told = {"false_per_scan": [1.0, 2.0, 1.5, 4.0], "recall": [0.1, 0.2, 0.3, 0.4]}
    x, y = PLOTS[1].x, PLOTS[1].y
    spots = [(1.0, 0.1), (2.0, 0.2), (2.0, 0.3), (4.0, 0.4)]
    assert PLOTS[1].path({"froc": told}) == "M" + " L".join(
        f"{x.at(a)} {y.at(b)}" for a, b in spots
    )


def test_a_row_without_curves_has_no_path():
    assert PLOTS[1].path({}) == ""


def test_a_scan_is_at_the_same_height_in_every_row(board):
    names = ("auprc", "dice_at_alpha")
    first, second = (row for row in board["rows"][:2])
    places = {}
    dots = dots_of(first, names, places)
    shuffled = second | {"cases": second["cases"][::-1]}
    heights = {dot.id: (dot.case, dot.y) for dot in dots_of(shuffled, names, places)}
    assert {dot.id: (dot.case, dot.y) for dot in dots} == heights
    assert all(0 < dot.y < 2 * MIDDLE for dot in dots)


def test_two_dozen_methods_look_different():
    assert len({look(place) for place in range(24)}) == 24


def test_a_card_says_which_other_methods_the_test_tells_apart(sections):
    text = sections["odd"].text
    assert "Against each other method" in text
    assert "atlas (+0.100)" in text
    assert "asymmetry (−0.200)" in text
    assert "Against each other method" not in sections["two"].text  # too few people
