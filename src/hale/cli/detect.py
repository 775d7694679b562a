"""`hale detect`."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hale.cli.arguments import (
    DEFAULT_CACHE,
    CacheOption,
    DeviceOption,
    JsonOption,
    OverwriteOption,
    PrecisionOption,
    WorkersOption,
    refuse_full_folder,
    refuse_to_replace,
    worker_count,
)
from hale.cli.output import print_json, say
from hale.cli.progress import Bars
from hale.core.errors import Refused
from hale.core.method import Device, Precision
from hale.core.scan import Split

if TYPE_CHECKING:
    from hale.data.cohort import Entry
    from hale.pipeline.cohort import CohortResult, Job

FINISHED_WITH_FAILURES = 3


def command(
    scans: Annotated[list[Path], typer.Argument(help="A scan; or folders of them, a cohort.")],
    model: Annotated[Path, typer.Option(help="A model's folder, from `hale fit`.")],
    out: Annotated[Path, typer.Option(help="Folder for the results, to be made.")],
    brain_mask: Annotated[
        Path | None, typer.Option(help="Brain mask on the scan's grid; skips extraction.")
    ] = None,
    report: Annotated[bool, typer.Option(help="Draw report.html.")] = True,
    split: Annotated[
        Split | None, typer.Option(help="Of folders, only this split of participants.tsv.")
    ] = None,
    device: DeviceOption = Device.AUTO,
    precision: PrecisionOption = Precision.AUTO,
    workers: WorkersOption = 0,
    cache: CacheOption = DEFAULT_CACHE,
    overwrite: OverwriteOption = False,
    json: JsonOption = False,
) -> None:
    """Show where a scan departs from healthy brains; write maps, lesions and a report.

    A scan may be a whole head or brain-extracted, in any orientation. OUT then holds, on the
    scan's own grid, anomaly, pvalue, mask, brain and pseudo_healthy (.nii.gz), lesions.tsv,
    detection.json and report.html. For folders there is one folder a scan, and cohort.tsv; the
    same command goes on where it was stopped.

    Examples:
      hale detect scan.nii.gz --model models/atlas-t1 --out result/

      hale detect patients/ --model models/atlas-t1 --out results/
    """
    from hale.io.cache import Cache
    from hale.pipeline.cohort import Job, run_cohort

    job = Job(
        model_folder=model,
        out=out,
        cache=Cache(cache.expanduser()),
        device=device,
        precision=precision,
        report=report,
    )
    if len(scans) == 1 and not scans[0].is_dir():
        refuse_full_folder(out, overwrite=overwrite, inputs=[scans[0], model])
        _detect_one(job, scans[0], brain_mask, json=json)
        return
    if brain_mask is not None:
        raise Refused("--brain-mask", "goes with one scan", "give one scan, or leave it out")
    refuse_to_replace(out, [*scans, model])
    with Bars() as bars:
        result = run_cohort(
            job,
            _entries(job, scans, split),
            workers=worker_count(workers),
            overwrite=overwrite,
            progress=bars,
        )
    _tell_cohort(result, out, json=json)
    if result.failures:
        raise typer.Exit(FINISHED_WITH_FAILURES)


def _detect_one(job: "Job", path: Path, brain_mask: Path | None, *, json: bool) -> None:
    from hale.data.cohort import entry_of
    from hale.pipeline.detect import detect
    from hale.pipeline.model import load_model
    from hale.pipeline.prepare import read_entry
    from hale.pipeline.write import as_json, write_detection

    model = load_model(job.model_folder, device=job.device, precision=job.precision)
    raw = read_entry(entry_of(path, model.space.slots[0][0]), brain=brain_mask)
    detection = detect(model, raw, job.cache)
    write_detection(detection, raw.source.stored, job.out, report=job.report)
    if json:
        print_json(as_json(detection))
        return
    for note in detection.notes:
        say(f"note: {note}")
    validity = detection.validity
    if validity is not None and not validity.holds:
        say(f"p-values not valid here: {'; '.join(validity.reasons)}")
    say(_verdict(detection.flagged, len(detection.lesions)))
    say(str(job.out / "report.html") if job.report else str(job.out))


def _entries(job: "Job", scans: Sequence[Path], split: Split | None) -> "list[Entry]":
    """Return the scans of files and folders, each id once."""
    from hale.data.cohort import entry_of, of_split, read_cohort, refuse_repeated_ids
    from hale.pipeline.model import load_model

    slot = load_model(job.model_folder).space.slots[0]
    entries: list[Entry] = []
    for path in scans:
        entries += read_cohort(path, slot) if path.is_dir() else [entry_of(path, slot[0])]
    if split is not None:
        entries = of_split(entries, split)
        if not entries:
            raise Refused(f"--split {split}", "no scan has it", "leave it out, or see the table")
    refuse_repeated_ids(entries)
    return entries


def _tell_cohort(result: "CohortResult", out: Path, *, json: bool) -> None:
    """Print what became of the scans."""
    if json:
        print_json({"rows": list(result.rows), "reused": result.reused})
        return
    for failure in result.failures:
        say(f"failed {failure.id}: {failure.reason}")
    flagged = sum(row.get("flagged") is True for row in result.rows)
    done = len(result.rows) - len(result.failures)
    say(f"{done} scans done ({result.reused} before), {flagged} flagged; {out / 'cohort.tsv'}")


def _verdict(flagged: bool | None, lesions: int) -> str:
    if flagged is None:
        return "map and ranks only: this model is not calibrated"
    return f"flagged: {lesions} lesions" if flagged else "not flagged"
