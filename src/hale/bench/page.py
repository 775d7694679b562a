"""The leaderboard as one HTML page that needs nothing beside it and nothing from elsewhere."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from hale.bench import words
from hale.bench.charts import DICE, PLOTS, STRIP, Dot, Mean, dots_of, look, means_of
from hale.bench.words import Json
from hale.report.words import INTENDED_USE

FILTERS = {"cohort": "Cohort", "contrast": "Contrast", "disease": "Disease"}
"""Besides supervision, which has words of its own."""
TEMPLATES = PackageLoader("hale.bench")


@dataclass(frozen=True, kw_only=True)
class Line:
    """A row of the board with what its charts need."""

    index: int
    """Among all rows of the board: what ties its table row, curves and card together."""
    row: Json
    look: str
    """Classes of its curves."""
    verdict: str
    dots: Sequence[Dot]
    means: Sequence[Mean]
    pictures: Mapping[str, Sequence[Mapping[str, str]]]


def write_page(board: Json, folder: Path) -> Path:
    """Write ``index.html`` into ``folder``, where the board's pictures lie; return its path."""
    environment = Environment(
        loader=TEMPLATES,
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    suite = board["suite"]
    first = words.shown_first(board)
    environment.globals.update(
        words=words,
        strip=STRIP,
        first=first,
        measures=_measures(first),
        baseline=suite["baseline"],
    )
    style, script = (_asset(environment, name) for name in ("style.css", "script.js"))
    digest = base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
    page = environment.get_template("leaderboard.html.j2").render(
        suite=suite,
        made=board["made"],
        intended_use=INTENDED_USE,
        sections=_sections(board, folder),
        elsewhere=words.missing_elsewhere(board),
        filters=_filters(board),
        style=style,
        script=script,
        script_hash=digest,
    )
    path = folder / "index.html"
    path.write_text(page, encoding="utf-8")
    return path


def _asset(environment: Environment, name: str) -> Markup:
    """Return a file of ours that goes into the page as it is."""
    return Markup(TEMPLATES.get_source(environment, name)[0])


def _measures(first: Sequence[str]) -> dict[str, str]:
    """Return what strips can show: name of a figure, and its words."""
    return {name: words.head_of(name) for name in first} | DICE


def _filters(board: Json) -> list[tuple[str, str, list[tuple[str, str]]]]:
    """Return name, label and choices (value, words) of each filter, in the board's order."""
    titles = {cohort["name"]: cohort["title"] or cohort["name"] for cohort in board["cohorts"]}
    told = [
        (name, label, [(value, titles.get(value, value)) for value in _different(board, name)])
        for name, label in FILTERS.items()
    ]
    groups = [(value, words.group_title(value)) for value in _different(board, "supervision")]
    return [*told, ("supervision", "Supervision", groups)]


def _different(board: Json, name: str) -> list[str]:
    return list(dict.fromkeys(row[name] for row in board["rows"]))


def _sections(board: Json, folder: Path) -> list[dict[str, Any]]:
    """Return what the page says of each cohort."""
    looks = _looks(board)
    names = list(_measures(words.shown_first(board)))
    index = {id(row): n for n, row in enumerate(board["rows"])}
    sections = []
    for number, cohort in enumerate(board["cohorts"]):
        places: dict[str, int] = {}
        groups = []
        for group in words.groups_of(board, cohort):
            lines = [
                Line(
                    index=index[id(row)],
                    row=row,
                    look=looks[row["method"]],
                    verdict=words.verdict_of(row, cohort, board["suite"]["baseline"]),
                    dots=dots_of(row, names, places),
                    means=means_of(row, names),
                    pictures={kind: _pictures(row, kind, folder) for kind in ("best", "worst")},
                )
                for row in group.rows
            ]
            groups.append((group, lines))
        sections.append(_section(board, cohort, number, groups))
    return sections


def _looks(board: Json) -> dict[str, str]:
    """Return the classes of each method's curves: the same in every cohort."""
    baseline = board["suite"]["baseline"]
    methods = dict.fromkeys(row["method"] for row in board["rows"] if row["method"] != baseline)
    return {baseline: "base"} | {method: look(n) for n, method in enumerate(methods)}


def _section(board: Json, cohort: Json, number: int, groups: list[Any]) -> dict[str, Any]:
    lines = [line for _, members in groups for line in members]
    rows = [line.row for line in lines]
    baseline = board["suite"]["baseline"]
    base = next((line.means for line in lines if line.row["method"] == baseline), None)
    return {
        "number": number,
        "cohort": cohort,
        "ranked": words.is_ranked(cohort),
        "groups": groups,
        "lines": lines,
        "base": base,
        "missing": words.missing_of(board, cohort),
        "cells": words.cells_of(rows),
        "sized": any(row["by_size"] for row in rows),
        "drawn": [plot for plot in PLOTS if any(plot.path(row["curves"]) for row in rows)],
        "tally": words.tally(rows, cohort, baseline),
    }


def _pictures(row: Json, kind: str, folder: Path) -> list[dict[str, str]]:
    """Return caption and data URI of a row's pictures; those that are not there are left out."""
    shown = []
    for picture in row["pictures"].get(kind) or ():
        path = (folder / picture["file"]).resolve()
        if path.suffix == ".png" and path.is_relative_to(folder.resolve()) and path.is_file():
            data = base64.b64encode(path.read_bytes()).decode("ascii")
            auprc = words.decimal(picture["auprc"])
            shown.append(
                {
                    "uri": f"data:image/png;base64,{data}",
                    "id": picture["id"],
                    "said": f"AUPRC of the map {auprc}",
                    "marked": picture.get("marked", ""),
                }
            )
    return shown
