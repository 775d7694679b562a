"""Many scans through one model: resumable, one table at the end, failures with their reasons."""

import csv
import io
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from hale.core.errors import Refused
from hale.core.quality import Verdict
from hale.core.run import Precision
from hale.core.scan import RawScan, Slots
from hale.data.cohort import Entry
from hale.io.cache import Cache
from hale.io.model import read_about
from hale.pipeline.detect import detect
from hale.pipeline.model import Model, load_model
from hale.pipeline.prepare import Progress, read_entry, silent
from hale.pipeline.single import recipe_hash, single_scan_model
from hale.pipeline.workers import Crew, Failure
from hale.pipeline.write import RESULT, write_detection
from hale.recipe import Recipe

TABLE, MARK = "cohort.tsv", "cohort.json"
COLUMNS = (
    "id",
    "status",
    "flagged",
    "score",
    "lesions",
    "lesions_ml",
    "largest_ml",
    "smallest_p",
    "p_values_hold",
    "quality",
    "out_of_domain",
    "seconds",
    "reason",
)


@dataclass(frozen=True, kw_only=True, eq=False)
class Job:
    """A model on a cohort, or a method that learns from each scan itself."""

    out: Path
    model_folder: Path | None = None
    recipe: Recipe | None = None
    """Of a single-scan method, where there is no model."""
    cache: Cache
    device: str = "cpu"
    precision: Precision = Precision.AUTO
    report: bool = True
    own: bool = False
    """Whether to write the method's own score beside the standardised map."""
    insist: bool = False
    """Whether quality control only warns."""
    sha256: str = ""
    """Of the model; `run_cohort` fills it in."""

    @property
    def slots(self) -> Slots:
        """Return what the model takes."""
        if self.recipe is not None:
            return self.recipe.prep.slots
        return self.model().space.slots

    def model(self, raw: RawScan | None = None) -> Model:
        """Return the fitted model, or with a single-scan method that of ``raw``."""
        if self.recipe is not None and raw is not None:
            return single_scan_model(self.recipe, raw, device=self.device, precision=self.precision)
        if self.model_folder is None:
            raise Refused("--model", "is missing", "give --model FOLDER or --method NAME")
        return _model(self.model_folder, self.sha256, self.device, self.precision)

    def identity(self) -> tuple[str, str]:
        """Return name and hash of what finds the lesions: results are known by them."""
        if self.recipe is not None:
            return self.recipe.method_name, recipe_hash(self.recipe)
        if self.model_folder is None:
            raise Refused("--model", "is missing", "give --model FOLDER or --method NAME")
        _, sha256 = read_about(self.model_folder)
        return self.model_folder.name, sha256


@dataclass(frozen=True, kw_only=True)
class CohortResult:
    """What became of a cohort."""

    rows: tuple[dict[str, Any], ...]
    failures: tuple[Failure, ...]
    reused: int
    """Scans whose results were there already."""


def run_cohort(
    job: Job,
    entries: Sequence[Entry],
    *,
    crew: Crew | None = None,
    overwrite: bool = False,
    progress: Progress = silent,
) -> CohortResult:
    """Detect in every scan; write a folder each and one table, ``cohort.tsv``.

    A scan whose result is there, from the same file and the same model, is not done again.

    Raises:
        Refused: The output folder holds something else, or cannot be written.
    """
    name, sha256 = job.identity()  # refuse before any work
    _claim(job.out, name, sha256, overwrite=overwrite)
    rows = {e.id: _row(job.out, e.id) for e in entries if _is_done(job, e, sha256)}
    others = [_row(job.out, name) for name in _results_of_others(job.out, entries)]
    todo = [entry for entry in entries if entry.id not in rows]
    reused, failures = len(rows), []
    progress("detecting", reused, len(entries))
    work = partial(detect_entry, replace(job, sha256=sha256))
    for entry, failure in (crew or Crew()).each(work, todo):
        if failure is not None:
            failures.append(failure)
        rows[entry.id] = _row(job.out, entry.id, failure)
        progress("detecting", len(rows), len(entries))
        _write_table(job.out, [*others, *(rows[e.id] for e in entries if e.id in rows)])
    ordered = [rows[entry.id] for entry in entries if entry.id in rows]
    _write_table(job.out, [*others, *ordered])
    shutil.rmtree(_replaced(job.out), ignore_errors=True)
    return CohortResult(rows=tuple(ordered), failures=tuple(failures), reused=reused)


def detect_entry(job: Job, entry: Entry) -> Failure | None:
    """Detect in one scan and write its folder; a pure function of model and scan."""
    try:
        raw = read_entry(entry)
        detection = detect(job.model(raw), raw, job.cache, insist=job.insist, own=job.own)
        write_detection(detection, raw.source, job.out / entry.id, report=job.report)
    except Refused as error:
        shutil.rmtree(job.out / entry.id, ignore_errors=True)  # of an earlier file of this id
        return Failure(id=entry.id, reason=str(error))
    return None


@lru_cache(maxsize=2)
def _model(folder: Path, sha256: str, device: str, precision: Precision) -> Model:
    """Return the model of this hash, read once per process."""
    return load_model(folder, device=device, precision=precision)


def _claim(out: Path, name: str, sha256: str, *, overwrite: bool) -> None:
    """Take the folder for this model; refuse one that holds anything else."""
    mark = out / MARK
    if made_with(mark) == sha256 and not overwrite:
        return
    try:
        if out.exists() and any(out.iterdir()):
            if not overwrite:
                why = "is not empty, and holds no results of this model to go on with"
                raise Refused(str(out), why, "give another --out, or --overwrite")
            _set_aside(out)
        out.mkdir(parents=True, exist_ok=True)
        part = out / f".{MARK}.part"
        part.write_text(json.dumps({"model": name, "model_sha256": sha256}), encoding="utf-8")
        part.replace(mark)
    except OSError as error:
        why = f"cannot be used ({error.strerror or error})"
        raise Refused(str(out), why, "give another --out") from None


def made_with(mark: Path) -> str | None:
    """Return the hash of the model that a folder of results is of, None if it is no such folder."""
    try:
        return str(json.loads(mark.read_text(encoding="utf-8"))["model_sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _replaced(out: Path) -> Path:
    """Return where results wait that a new cohort replaces, until it is finished."""
    place = out.resolve()
    return place.with_name(f".{place.name}.replaced")


def _set_aside(out: Path) -> None:
    """Clear ``out``, keeping what was there until the new results are complete."""
    if _replaced(out).exists():  # by a run that was stopped: the older results are the ones to keep
        shutil.rmtree(out)
    else:
        out.resolve().replace(_replaced(out))


def _is_done(job: Job, entry: Entry, sha256: str) -> bool:
    """Say whether the folder holds the result of this file and this model."""
    try:
        result = json.loads((job.out / entry.id / RESULT).read_text(encoding="utf-8"))
        if result["quality"]["verdict"] == Verdict.REFUSE and not job.insist:
            return False  # of an earlier call that insisted
        provenance = result["provenance"]
        made_by, made_from = provenance["model_sha256"], provenance["input_sha256"]
        return bool(made_by == sha256 and made_from == entry.sha256)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _write_table(out: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write ``cohort.tsv``, one row a finished scan."""
    table = io.StringIO()
    writer = csv.DictWriter(table, COLUMNS, delimiter="\t", restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    part = out / f".{TABLE}.part"
    try:
        part.write_text(table.getvalue(), encoding="utf-8")
        part.replace(out / TABLE)
    except OSError as error:
        part.unlink(missing_ok=True)
        why = f"cannot be written ({error.strerror or error})"
        raise Refused(str(out / TABLE), why, "free space; the same command goes on") from None


def _results_of_others(out: Path, entries: Sequence[Entry]) -> list[str]:
    """Return the ids of results that earlier calls left in ``out``, of other scans."""
    now = {entry.id for entry in entries}
    there = (path.parent.name for path in out.glob(f"*/{RESULT}"))
    return sorted(name for name in there if name not in now and not name.startswith("."))


def _row(out: Path, name: str, failure: Failure | None = None) -> dict[str, Any]:
    """Return one line of the table."""
    if failure is not None:
        return {"id": name, "status": "failed", "reason": failure.reason}
    result = json.loads((out / name / RESULT).read_text(encoding="utf-8"))
    lesions = result["lesions"]
    volumes = [lesion["volume_ml"] for lesion in lesions]
    validity = result["p_values"]
    return {
        "id": result["id"],
        "status": "done",
        "flagged": result["flagged"],
        "score": f"{result['score']:.3f}",
        "lesions": len(lesions),
        "lesions_ml": f"{sum(volumes):.2f}",
        "largest_ml": f"{max(volumes, default=0.0):.2f}",
        "smallest_p": f"{min((x['p'] for x in lesions), default=1.0):.4f}",
        "p_values_hold": None if validity is None else validity["holds"],
        "quality": result["quality"]["verdict"],
        "out_of_domain": bool(result["quality"]["out_of_domain"]),
        "seconds": f"{sum(result['seconds'].values()):.1f}",
        "reason": "; ".join(
            [
                *(finding["what"] for finding in result["quality"]["findings"]),
                *(validity["reasons"] if validity else ()),
            ]
        ),
    }
