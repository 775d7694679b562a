"""The process of one job: `python -m hale.serve.worker JOB`, started by the server.

`intensity` answers first, and its report is drawn last; a model whose answer is there already is
not asked again.
"""

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from hale.core.detection import Detection
from hale.core.errors import Refused
from hale.core.method import Estimates
from hale.core.scan import Contrast, RawScan, Stored, Volume
from hale.io.cache import Cache
from hale.io.nifti import read_volume, write_volume
from hale.pipeline.detect import detect_prepared
from hale.pipeline.exams import Asked, entries_of
from hale.pipeline.prepare import read_entry
from hale.pipeline.write import write_detection
from hale.prep.chain import prepare
from hale.report.page import write_report
from hale.serve.asking import Asking, asking, results_at
from hale.serve.files import write_table
from hale.serve.jobs import PROGRESS, Job, read_job
from hale.serve.kinds import UNKNOWN, Exam, Kind, read_exam_of
from hale.serve.place import MADE, place_of
from hale.serve.process import station_told
from hale.serve.progress import Progress, expected
from hale.serve.reading import read_detection
from hale.serve.results import SCAN, all_results, result_in
from hale.serve.scans import scans_of
from hale.serve.shelf import Offer, first_of, offer_of
from hale.serve.station import Station

REPORT = "report.html"
SHORT = np.iinfo(np.int16)


@dataclass(frozen=True, kw_only=True)
class Task:
    """A job, what it is about, and where it goes."""

    station: Station
    job: Job
    upload: Path
    exam: Exam

    @property
    def out(self) -> Path:
        """Return the folder of the job's results."""
        return self.station.folder / self.job.id

    @property
    def contrasts(self) -> list[str]:
        """Return the contrast that is wanted, or else those of the exam.

        Raises:
            Refused: Nothing says it.
        """
        if self.job.contrast is not None:
            return [self.job.contrast]
        contrasts = list(self.exam.contrasts) or list(self.job.series or ())
        if not contrasts:
            raise Refused(self.exam.name, "nothing says its contrast", "choose its contrast")
        return contrasts

    def asked(self) -> Asked:
        """Return the exam as the pipeline takes it."""
        paths = {c: self.upload / path for c, path in self.exam.files.items()}
        if self.exam.kind is Kind.DICOM:
            series = {Contrast(c): s for c, s in (self.job.series or {}).items()}
            return Asked(paths=[paths[""]], series=series, insist=self.job.insist)
        named = {
            Contrast(self.contrasts[0] if c == UNKNOWN else c): path for c, path in paths.items()
        }
        return Asked(named=named, insist=self.job.insist)


def main(folder: Path) -> int:
    """Do a job; 0 if it has an end, good or bad, that its progress tells."""
    station = station_told()
    job = read_job(folder)
    if job is None:
        return 1
    upload = station.uploads / job.upload
    progress = Progress(path=folder / PROGRESS, plan=())
    progress.begin("", "read")
    try:
        exam = read_exam_of(upload, job.exam)
        reasons = done(Task(station=station, job=job, upload=upload, exam=exam), progress)
    except Refused as error:
        reasons = [str(error)]
    told = "; ".join(reasons).replace(f"{upload}/", "").replace(f"{station.folder}/", "")
    progress.write({"ended": True, "reason": told, "stage": ""})
    return 0


def done(task: Task, progress: Progress) -> list[str]:
    """Ask each model of a job, `intensity` first; return why some could not answer."""
    station = task.station
    chosen = [offer_of(station.models, name) for name in task.job.models]
    first = first_of(station.models, task.contrasts)
    ready, reasons = _ready(task, [first, *(offer for offer in chosen if offer.id != first.id)])
    names = [(one.offer.name, one.mode) for one in ready]
    progress.plan = expected(names, _measured(station)) if names else ()
    later: list[tuple[Path, Detection]] = []
    for number, one in enumerate(ready):
        try:
            answered = answer(task, one, progress)
        except Refused as error:
            if one.offer in chosen:
                reasons.append(f"{one.offer.name}: {error}")
            continue
        if answered is not None and number == 0 and len(ready) > 1:
            later.append(answered)
        elif answered is not None:
            progress.begin(one.offer.name, "report")
            _report(*answered)
    for folder, detection in later:
        progress.begin(first.name, "report")
        _report(folder, detection)
    return reasons


def _ready(task: Task, offers: Sequence[Offer]) -> tuple[list[Asking], list[str]]:
    """Return the offers that can be asked, and why the others cannot."""
    ready, reasons = [], []
    for offer in offers:
        try:
            said = task.job.contrast
            ready.append(asking(offer, task.contrasts, said, task.station.device))
        except Refused as error:
            reasons.append(f"{offer.name}: {error}")
    return ready, reasons


def answer(task: Task, one: Asking, progress: Progress) -> tuple[Path, Detection] | None:
    """Write the result of one model without its report; None if it is there already, with it.

    Raises:
        Refused: The exam has not what the model takes, cannot be prepared, or is not fit for it.
    """
    folder, name = results_at(task.out, one.offer), one.offer.name
    path = folder.relative_to(task.station.folder).as_posix()
    if (folder / MADE).is_file():
        progress.results.append(path)
        return completed(folder, task)
    progress.begin(name, "read")
    raw = read(task, one)
    model = one.model(raw)
    prepared = prepare(
        raw,
        model.recipe.prep,
        Cache(task.station.stages),
        model.space,
        begun=lambda stage: progress.begin(name, stage),
    )
    start = time.perf_counter()
    takes = (
        model.detector.estimate(prepared.scan) if isinstance(model.detector, Estimates) else None
    )
    progress.begin(name, "score", seconds=takes)
    detection = detect_prepared(model, raw, prepared, insist=task.job.insist)
    progress.begin(name, "write")
    write_detection(detection, raw.source, folder, report=False)
    write_scans(folder, raw)
    made = {
        "job": task.job.id,
        "upload": task.job.upload,
        "exam": task.exam.id,
        "dicom": [_relative(file, task.station.folder) for file in raw.source.dicom],
        "place": place_of(folder, prepared.trace),
        "seconds_after_preparation": round(time.perf_counter() - start, 2),
    }
    write_table(folder / MADE, made)
    progress.results.append(path)
    progress.begin(name, "write")
    write_others(folder, task)
    return folder, detection


def completed(folder: Path, task: Task) -> tuple[Path, Detection] | None:
    """Write what an earlier worker left out of a result; None if that had its report too.

    Raises:
        Refused: A file of it is damaged.
    """
    write_others(folder, task)
    found = result_in(folder, task.station.folder)
    if found is None or (folder / REPORT).is_file():
        return None
    return folder, read_detection(folder, scans_of(found, None))


def read(task: Task, one: Asking) -> RawScan:
    """Return the exam as a model takes it, under the names that may be shown.

    Raises:
        Refused: It cannot be read, or has not what the model takes.
    """
    with TemporaryDirectory(prefix="hale-") as scratch:
        entries, _ = entries_of(task.asked(), one.slots, Path(scratch))
        raw = read_entry(entries[0])
    files = tuple(
        task.exam.called.get(str(contrast)) or task.exam.called.get(UNKNOWN) or file
        for contrast, file in zip(raw.volumes, raw.source.files, strict=True)
    )
    return replace(raw, id=task.exam.name, source=replace(raw.source, files=files))


def write_scans(folder: Path, raw: RawScan) -> None:
    """Write a copy of each contrast beside its result, for the viewer; no header comes with it."""
    for number, (contrast, volume) in enumerate(raw.volumes.items()):
        stored = raw.source.stored if number == 0 else None
        place = stored or Stored(shape=volume.grid.shape, affine=volume.grid.affine)
        write_volume(folder / f"{SCAN}{contrast}.nii.gz", _smallest(volume), place)


def write_others(folder: Path, task: Task) -> None:
    """Write copies of the exam's contrasts that the model did not take, to be looked at beside."""
    if task.exam.kind is not Kind.NIFTI:
        return
    for name, path in task.exam.files.items():
        place = folder / f"{SCAN}{name}.nii.gz"
        if name != UNKNOWN and not place.is_file():
            read = read_volume(task.upload / path)
            write_volume(place, _smallest(read.volume), read.stored)


def _smallest(volume: Volume) -> np.ndarray:
    """Return values as 16-bit integers if they are such: half the bytes, and less to inflate."""
    finite: np.ndarray = np.nan_to_num(volume.values, nan=0.0, posinf=0.0, neginf=0.0)
    fits = finite.min() >= SHORT.min and finite.max() <= SHORT.max
    whole = fits and np.array_equal(finite, np.rint(finite))
    return finite.astype(np.int16) if whole else finite


def _report(folder: Path, detection: Detection) -> None:
    """Draw the report of a result that is there."""
    part = folder / f".{REPORT}.part"
    write_report(detection, part)
    part.replace(folder / REPORT)


def _measured(station: Station) -> Mapping[str, Mapping[str, float]]:
    """Return the seconds of each stage of earlier results, by the name of the model."""
    measured: dict[str, dict[str, float]] = {}
    for found in all_results(station.folder):
        name = str(found.detection["provenance"].get("model", ""))
        seconds = found.detection.get("seconds") or {}
        known = measured.setdefault(name, {})
        for stage, value in seconds.items():
            known[stage] = max(known.get(stage, 0.0), float(value))
    return measured


def _relative(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else str(path)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
