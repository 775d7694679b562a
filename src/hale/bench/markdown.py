"""The leaderboard as Markdown: what a repository shows of it."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from hale.bench.words import (
    GAPS,
    MARKS,
    NO_RANKING,
    NOTHING,
    POINTS,
    SIZES,
    VERDICTS,
    Cell,
    Group,
    Json,
    cell_of,
    cells_of,
    decimal,
    duration,
    figure_of,
    flagged,
    groups_of,
    head_of,
    is_ranked,
    missing_elsewhere,
    missing_of,
    pairs_of,
    patients,
    rows_of,
    short,
    shown_first,
    signed,
    span,
    spread,
    title_of,
    verdict_of,
)

HASH_LENGTH = 12
"""Characters of a hash that are shown; leaderboard.json has all of them."""
NO_HASH = re.compile(r"[^0-9A-Za-z.+-]")
SPECIAL = re.compile(r"([\\`*_\[\]<>|#~])")
READING = f"""\
A figure is the mean over scans with its 95 % interval over patients (BCa bootstrap) and the
number of scans, n. {MARKS["better"]} and {MARKS["worse"]}: better and worse than the baseline in a
paired permutation test, after Holm's correction; without a mark the two are not told apart. The
**score** is the method's own; the **map** is the score standardised on healthy scans, where the
method is calibrated. **Oracle** takes the best threshold on the test set itself: nobody has it.
**Labelled validation** takes it from other labelled scans. **Healthy only** needs no lesion mask:
`dice_at_alpha` is that of the mask, `dice_at_fpr01` that of the voxels at a false-positive rate
of 1 % on healthy scans. A **gap** is the Dice lost from the oracle to the other point. Flagged
healthy test scans stand beside the range that chance explains (beta-binomial, 95 %). Of several
seeds and folds, figures are means with their spread; flagged scans are those of the first."""


def write_markdown(board: Json, path: Path) -> None:
    """Write ``board`` to ``path``."""
    path.write_text("\n\n".join(_parts(board)) + "\n", encoding="utf-8")


def _parts(board: Json) -> Iterable[str]:
    """Yield the document's paragraphs."""
    suite, made = board["suite"], board["made"]
    yield f"# {_safe(suite['title'] or suite['name'])}"
    yield (
        f"Suite {_safe(suite['name'])} ({_hash(suite['sha256'])}), hale {_safe(made['hale'])}, "
        f"commit {_hash(made['commit'])}, {_safe(str(made['date'])[:10])}."
    )
    if suite["notes"]:
        yield "\n".join(f"- {_safe(note)}" for note in suite["notes"])
    yield READING
    for cohort in board["cohorts"]:
        yield from _cohort(board, cohort)
    if elsewhere := missing_elsewhere(board):
        yield "## Not run"
        yield "\n".join(
            f"- {_safe(one['method'])} on {_safe(one['cohort'])}: {_safe(one['reason'])}"
            for one in elsewhere
        )


def _cohort(board: Json, cohort: Json) -> Iterable[str]:
    """Yield what is to be said of one cohort."""
    yield f"## {_safe(cohort['title'] or cohort['name'])}"
    kinds = ", ".join(filter(None, (cohort["contrast"], cohort["disease"], cohort["kind"])))
    note = f" {_safe(cohort['note'])}" if cohort["note"] else ""
    yield f"{_safe(kinds)}; {patients(cohort)}.{note}"
    if not is_ranked(cohort):
        yield NO_RANKING
    for group in groups_of(board, cohort):
        yield f"### {_safe(group.title)}"
        yield _figures(group, cohort, board)
    rows = rows_of(board, cohort)
    if is_ranked(cohort):
        yield from _each_against_each(rows, board)
    yield from _by_size(rows)
    yield from _by_lesion(rows)
    yield from _not_there(rows, missing_of(board, cohort))
    if rows:
        yield "### Result cards"
        yield _cards(rows)


def _figures(group: Group, cohort: Json, board: Json) -> str:
    """Return the table of a group."""
    baseline, first = board["suite"]["baseline"], shown_first(board)
    heads = ["method", "scans", *map(head_of, first), f"against {_safe(baseline)}"]
    heads += [*POINTS.values(), *GAPS.values(), "lesions detected", "healthy flagged"]
    lines = []
    for row in group.rows:
        figures = [_figure(figure_of(row, name)) for name in first]
        against = _against(row, cohort, baseline)
        dice = [_figure(row["points"].get(name)) for name in (*POINTS, *GAPS)]
        found, alarms = _figure(row["figures"].get("lesion_recall")), flagged(row["healthy"])
        lines.append([_method(row), _scans(row), *figures, against, *dice, found, alarms])
    return _table(heads, lines)


def _method(row: Json) -> str:
    return f"{_safe(row['title'])} ({_safe(row['method'])})"


def _scans(row: Json) -> str:
    """Return how many scans were scored, and how many failed."""
    count = str(len(row["cases"]))
    return f"{count}, {len(row['failed'])} failed" if row["failed"] else count


def _figure(figure: Json | None) -> str:
    """Return a figure with its interval, its n and its spread over seeds and folds."""
    if figure is None or figure["value"] is None:
        return NOTHING
    said = [decimal(figure["value"])]
    if interval := span(figure):
        said.append(f"({interval})")
    said.append(f"n={figure['n']}")
    return " ".join(said) + (f"; {over}" if (over := spread(figure)) else "")


def _against(row: Json, cohort: Json, baseline: str) -> str:
    """Return mark, verdict and difference against the baseline, as far as a test was made."""
    if row["method"] == baseline:
        return "the baseline"
    verdict = verdict_of(row, cohort, baseline)
    if not verdict:
        return NOTHING
    told = row["against"][baseline]
    mark = f"{MARKS[verdict]} " if verdict in MARKS else ""
    tested = f" ({span(told)}), p = {short(told['p_holm'])}" if span(told) else ", not tested"
    said = f"{signed(told['difference'])}{tested}"
    return f"{mark}{VERDICTS[verdict]} {_safe(baseline)}: {said}"


def _each_against_each(rows: Sequence[Json], board: Json) -> Iterable[str]:
    """Yield which methods the test tells apart, over all pairs."""
    pairs = {row["method"]: dict(pairs_of(row)) for row in rows if row["pairs"]}
    if not pairs:
        return
    yield "### Each method against each"
    yield (
        f"By {title_of(board['suite']['figure'])}; the differences that the paired permutation "
        f"test tells from none, after Holm's correction for all pairs."
    )
    heads = ["method", VERDICTS["better"], VERDICTS["worse"]]
    yield _table(
        heads,
        [
            [_method(row), *(_list(pairs[row["method"]].get(head, ())) for head in heads[1:])]
            for row in rows
            if row["method"] in pairs
        ],
    )


def _by_size(rows: Sequence[Json]) -> Iterable[str]:
    """Yield lesion recall by size of lesion, if there is any."""
    if not any(row["by_size"] for row in rows):
        return
    yield "### Lesions detected by the mask, by size (n: lesions)"
    lines = [[_method(r), *(_figure(r["by_size"].get(size)) for size in SIZES)] for r in rows]
    yield _table(["method", *SIZES], lines)


def _by_lesion(rows: Sequence[Json]) -> Iterable[str]:
    """Yield AUPRC by size and contrast of planted lesions: a table a size, all cells."""
    cells = cells_of(rows)
    for volume in sorted({volume for volume, _ in cells}):
        of_size = [cell for cell in cells if cell[0] == volume]
        yield f"### AUPRC of the map, planted lesions of {volume:g} ml, by change of intensity"
        heads = ["method", *(f"{signed(change, 0)} SD" for _, change in of_size)]
        yield _table(heads, [[_method(r), *(_in_cell(r, cell) for cell in of_size)] for r in rows])


def _in_cell(row: Json, cell: Cell) -> str:
    told = cell_of(row, cell)
    return NOTHING if told is None else _figure(told["figures"].get("auprc"))


def _not_there(rows: Sequence[Json], missing: Sequence[Json]) -> Iterable[str]:
    """Yield what failed and what was not run, each with its reason."""
    lines = [
        f"- {_method(row)}, {_safe(one['id'])}: {_safe(one['reason'])}"
        for row in rows
        for one in row["failed"]
    ]
    lines += [f"- {_safe(one['method'])}, all scans: {_safe(one['reason'])}" for one in missing]
    if lines:
        yield "### Failed or not run"
        yield "\n".join(lines)


def _cards(rows: Sequence[Json]) -> str:
    """Return where each row is from."""
    heads = ["method", "data", "split", "recipe", "model", "hale", "commit", "seeds", "folds"]
    heads += ["fit", "a scan", "parameters", "steps", "settings tried"]
    lines = []
    for row in rows:
        card = row["card"]
        hashes = [_hash(card[name]) for name in ("recipe_sha256", "model_sha256")]
        runs = [_list(row["seeds"]), _list(row["folds"])]
        times = [duration(card["seconds_fit"]), duration(card["seconds_scan"])]
        counts = [short(card[name]) for name in ("parameters", "steps", "settings_tried")]
        data = [_hash(card["data_sha256"]), _safe(card["split"] or NOTHING)]
        code = [_safe(card["hale"] or NOTHING), _hash(card["commit"])]
        lines.append([_method(row), *data, *hashes, *code, *runs, *times, *counts])
    return _table(heads, lines)


def _list(items: Sequence[object]) -> str:
    return _safe(", ".join(map(str, items))) or NOTHING


def _hash(text: str | None) -> str:
    return f"`{NO_HASH.sub('', text)[:HASH_LENGTH]}`" if text else NOTHING


def _table(heads: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    rule = ["---", *("---:" for _ in heads[1:])]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (heads, rule, *lines))


def _safe(text: str) -> str:
    """Return text of others on one line and without any meaning to Markdown or HTML."""
    return SPECIAL.sub(r"\\\1", " ".join(str(text).split())).replace("&", "&amp;")
