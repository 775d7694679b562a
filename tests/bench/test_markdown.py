"""The leaderboard as Markdown: tables that stay tables, and say what the page says."""

import json
import re
import sys
from pathlib import Path

import pytest

from hale.bench.markdown import write_markdown
from hale.bench.words import NO_RANKING

sys.path.insert(0, str(Path(__file__).parent))
from made_board import CELLS, METHODS, figure, hostile, make_board

UNESCAPED_PIPE = re.compile(r"(?<!\\)\|")


@pytest.fixture(scope="module")
def board(tmp_path_factory):
    return json.loads(json.dumps(make_board(tmp_path_factory.mktemp("made"), pictures=False)))


def written(board, folder):
    """Return the document as text and by its second-level headings."""
    write_markdown(board, folder / "leaderboard.md")
    text = (folder / "leaderboard.md").read_text(encoding="utf-8")
    parts = re.split(r"^## ", text, flags=re.MULTILINE)
    return text, {part.split("\n")[0]: part for part in parts[1:]}


@pytest.fixture(scope="module")
def sections(board, tmp_path_factory):
    return written(board, tmp_path_factory.mktemp("written"))[1]


def tables(text):
    """Return each table as a list of rows of cells, the rule left out."""
    found = re.findall(r"(?:^\|.*\n?)+", text, flags=re.MULTILINE)
    return [
        [
            [cell.strip() for cell in UNESCAPED_PIPE.split(line)[1:-1]]
            for line in table.strip().split("\n")
            if not line.startswith("| ---")
        ]
        for table in found
    ]


def test_a_section_for_each_cohort_and_for_what_is_elsewhere(sections, board):
    assert list(sections) == [cohort["title"] for cohort in board["cohorts"]] + ["Not run"]
    assert (
        "FLAIR, stroke, patients; 9 scans of 9 people. One slice each."
        in sections["SOOP, odd subjects"]
    )
    assert "strega on elsewhere: the scans are not here" in sections["Not run"]


def test_rows_are_grouped_by_supervision_supervised_ones_apart(sections):
    headings = re.findall(r"^### (.*)$", sections["SOOP, odd subjects"], flags=re.MULTILINE)
    assert headings[:3] == [
        "Learns from the scan itself",
        "Learns from healthy scans",
        "Supervised by lesion masks: not ranked with the others",
    ]
    *_, supervised = tables(sections["SOOP, odd subjects"])[:3]
    assert [row[0] for row in supervised[1:]] == ["Segmented diffusion (sadm)"]


def test_the_operating_points_and_gaps_stand_side_by_side(sections, board):
    head, first, *_ = tables(sections["SOOP, odd subjects"])[1]
    at = head.index("oracle")
    assert head[at : at + 7] == [
        "oracle",
        "labelled validation",
        "healthy only: dice_at_alpha",
        "healthy only: dice_at_fpr01",
        "gap to labelled validation",
        "gap to dice_at_alpha",
        "gap to dice_at_fpr01",
    ]
    row = next(row for row in board["rows"] if first[0].startswith(row["title"]))
    points = ("oracle", "validation", "alpha", "fpr01")
    for cell, name in zip(first[at : at + 4], points, strict=True):
        assert cell.startswith(f"{row['points'][name]['value']:.3f} (")
        assert "n=9" in cell


def test_a_figure_has_its_interval_its_n_and_its_spread(sections, board):
    row = next(row for row in board["rows"] if row["method"] == "vae")
    auprc = row["figures"]["auprc_own"]
    said = f"{auprc['value']:.3f} ({auprc['low']:.3f} to {auprc['high']:.3f}) n=9; seeds ± 0.012"
    assert said in sections["SOOP, odd subjects"]


def test_marks_follow_the_verdict_alone(sections):
    odd = sections["SOOP, odd subjects"]
    assert odd.count("▲ better than intensity: +") == 3
    assert odd.count("▼ worse than intensity: −0.060 (−0.110 to −0.010), p = 0.02") == 1
    assert odd.count("| not told apart from intensity: +0.040") == 1
    assert odd.count("the baseline") == 1


def test_two_patients_are_not_ranked(sections):
    two = sections["TCGA, two gliomas"]
    assert NO_RANKING in two
    assert not {"▲", "▼"} & set(two)
    names = [row[0] for table in tables(two)[:3] for row in table[1:]]
    assert [name.split(" (")[0] for name in names] == [title for title, _, _ in METHODS.values()]


def test_false_alarms_stand_beside_their_range(sections):
    healthy = sections["IXI, healthy"]
    assert "7 of 21 (expected 0 to 5, outside)" in healthy
    assert "2 of 21 (expected 0 to 5)" in healthy


def test_failures_and_what_is_missing_have_their_reason(sections):
    planted = sections["IXI with planted lesions"]
    assert "- ddpm, all scans: ran out of its time budget" in planted
    assert "- Variational autoencoder (vae), sub-77: the map holds NaN" in planted
    assert "| 12, 1 failed |" in planted


def test_planted_lesions_by_size_and_contrast(sections):
    planted = sections["IXI with planted lesions"]
    by_lesion = [table for table in tables(planted) if table[0][1] == "−3 SD"]
    assert len(by_lesion) == 3
    assert sum(len(table[0]) - 1 for table in by_lesion) == len(CELLS)
    assert all("n=4" in cell for table in by_lesion for row in table[1:] for cell in row[1:])
    assert ["method", "below 1 ml", "1 to 10 ml", "above 10 ml"] in [t[0] for t in tables(planted)]


def test_each_row_has_its_card(sections):
    *_, cards = tables(sections["SOOP, odd subjects"])
    assert len(cards) == 1 + len(METHODS)
    trained = next(row for row in cards if row[0].endswith("(vae)"))
    for text in ("`d1d1d1d1d1d1`", "`abababababab`", "`cdcdcdcdcdcd`", "`c0ffeec0ffee`"):
        assert text in trained
    assert {"90 min", "0.8 s", "2,345,678", "20,000", "0, 1"} <= set(trained)


def test_texts_of_others_stay_in_their_cells(board, tmp_path):
    text, _ = written(hostile(board), tmp_path)
    for table in tables(text):
        assert len({len(row) for row in table}) == 1, "no cell was split"
    assert not re.search(r"(?<!\\)<", text)
    assert "onerror" in text, "shown as text"


def test_undefined_is_a_dash(board, tmp_path):
    rows = [board["rows"][0] | {"figures": {"auprc": figure(None, 0)}, "points": {}}]
    _, sections = written(board | {"rows": rows}, tmp_path)
    (row,) = tables(sections["SOOP, odd subjects"])[0][1:]
    assert row[2] == row[3] == "–"
    assert row[5:12] == ["–"] * 7


def test_each_method_stands_against_each(sections):
    odd = sections["SOOP, odd subjects"]
    assert "### Each method against each" in odd
    (line,) = [
        line for line in odd.splitlines() if line.startswith("| Voxel-wise atlas (atlas) | atlas ")
    ]
    assert line.split("|")[2:4] == [" atlas (+0.100) ", " asymmetry (−0.200) "]
    assert "### Each method against each" not in sections["TCGA, two gliomas"]
