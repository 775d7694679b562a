"""`hale detect`."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hale.cli.arguments import (
    DEFAULT_CACHE,
    CacheOption,
    DeviceOption,
    EntityOption,
    FoldOption,
    JsonOption,
    OverwriteOption,
    PrecisionOption,
    PublishedOption,
    RamOption,
    SeriesOption,
    SettingOption,
    WorkersOption,
    chosen_series,
    crew_of,
    reading_of,
    refuse_full_folder,
    refuse_to_replace,
    warn,
)
from hale.cli.output import print_json, say, tell
from hale.cli.progress import Bars
from hale.core.errors import Refused
from hale.core.run import Device, Precision
from hale.core.scan import Contrast, Split

if TYPE_CHECKING:
    from hale.data.cohort import Entry
    from hale.pipeline.cohort import CohortResult, Job
    from hale.pipeline.exams import Asked
    from hale.pipeline.workers import Crew
    from hale.recipe import Recipe

FINISHED_WITH_FAILURES = 3
UNCALIBRATED = "map and ranks only: not calibrated"


def _file(contrast: Contrast) -> Any:
    """Return the option that names the file of a contrast."""
    return typer.Option(
        f"--{contrast.lower()}",
        help=f"Its {contrast}.",
        metavar="FILE",
        rich_help_panel="One exam by the files of its contrasts, in any order",
    )


def command(
    out: Annotated[Path, typer.Option(help="Folder for the results, to be made.")],
    scans: Annotated[
        list[Path] | None,
        typer.Argument(help="A scan; a subject's, session's or DICOM folder; or a cohort."),
    ] = None,
    model: Annotated[Path | None, typer.Option(help="A model's folder, from `hale fit`.")] = None,
    method: Annotated[
        str | None,
        typer.Option(help="Instead of a model: a method for single scans, or its recipe."),
    ] = None,
    t1w: Annotated[Path | None, _file(Contrast.T1W)] = None,
    t2w: Annotated[Path | None, _file(Contrast.T2W)] = None,
    flair: Annotated[Path | None, _file(Contrast.FLAIR)] = None,
    pdw: Annotated[Path | None, _file(Contrast.PDW)] = None,
    t1w_ce: Annotated[Path | None, _file(Contrast.T1W_CE)] = None,
    ct: Annotated[Path | None, _file(Contrast.CT)] = None,
    contrast: Annotated[
        Contrast | None,
        typer.Option(
            help=f"Of files that do not say it: {', '.join(Contrast)}.", metavar="CONTRAST"
        ),
    ] = None,
    series: SeriesOption = None,
    entity: EntityOption = None,
    fold: FoldOption = None,
    published_lists: PublishedOption = False,
    brain_mask: Annotated[
        Path | None, typer.Option(help="Brain mask on the scan's grid; skips extraction.")
    ] = None,
    insist: Annotated[
        bool,
        typer.Option("--insist", help="Go on where contrast or quality control refuse; they say."),
    ] = False,
    report: Annotated[bool, typer.Option(help="Draw report.html.")] = True,
    split: Annotated[
        Split | None, typer.Option(help="Of folders, only this split of participants.tsv.")
    ] = None,
    setting: SettingOption = None,
    device: DeviceOption = Device.AUTO,
    precision: PrecisionOption = Precision.AUTO,
    workers: WorkersOption = 0,
    max_ram: RamOption = None,
    cache: CacheOption = DEFAULT_CACHE,
    overwrite: OverwriteOption = False,
    json: JsonOption = False,
) -> None:
    """Show where a scan departs from healthy brains: maps, lesions, a report.

    Give a model from `hale fit`; or a method that learns from the scan itself,
    `--method intensity`, which yields a map and ranks but no p-values. Those that
    train a network (convae_scan, anogan_scan) say first how long they will take.

    A scan is a file; the folder of a subject, a session or DICOM files; or, with
    several contrasts, one option for each. Heads and extracted brains, turned in
    any way. Any other folder is a cohort: one folder of results an exam, and
    cohort.tsv; the same command goes on where it was stopped.

    OUT holds, on the scan's own grid, anomaly, pvalue, mask, brain and
    pseudo_healthy (.nii.gz), and lesions.tsv, detection.json and report.html;
    from DICOM mask.seg.dcm too.

    Examples:
      hale detect scan.nii.gz --model models/atlas --out result/

      hale detect --t1w a.nii.gz --flair b.nii.gz --model models/two --out out/

      hale detect sub-01/ses-2/ --entity run-1 --model models/atlas --out result/

      hale detect dicom/ --series T1w=4 --model models/atlas --out result/

      hale detect head.nii.gz --contrast CT --method intensity --out result/

      hale detect slice.npy --method convae_scan-small --out result/

      hale detect patients/ --model models/atlas --out results/
    """
    from hale.io.cache import Cache
    from hale.pipeline.cohort import Job
    from hale.pipeline.exams import Asked, entries_of

    files = (t1w, t2w, flair, pdw, t1w_ce, ct)
    asked = Asked(
        paths=scans or (),
        named={c: path for c, path in zip(Contrast, files, strict=True) if path is not None},
        contrast=contrast,
        series=chosen_series(series),
        reading=reading_of(entity, fold, published_lists),
        split=split,
        insist=insist,
        tell=warn,
    )
    job = Job(
        out=out,
        model_folder=model,
        recipe=_recipe(model, method, setting, asked),
        cache=Cache(cache.expanduser()),
        device=device,
        precision=precision,
        report=report,
        insist=insist,
    )
    inputs = [*asked.paths, *asked.named.values(), *([model] if model else [])]
    with TemporaryDirectory(prefix="hale-") as scratch:
        entries, single = entries_of(asked, job.slots, Path(scratch))
        if single:
            refuse_full_folder(out, overwrite=overwrite, inputs=inputs)
            _detect_one(job, entries[0], brain_mask, json=json)
            return
        if brain_mask is not None:
            raise Refused("--brain-mask", "goes with one scan", "give one scan, or leave it out")
        refuse_to_replace(out, inputs)
        _detect_all(job, entries, crew_of(workers, max_ram), overwrite=overwrite, json=json)


def _recipe(
    model: Path | None, method: str | None, settings: list[str] | None, asked: "Asked"
) -> "Recipe | None":
    """Return the recipe of a single-scan method, None where a model is given."""
    if (model is None) == (method is None):
        why = "are both given" if model else "are both missing"
        raise Refused("--model and --method", why, "give one of them")
    if method is None:
        if settings:
            raise Refused("--set", "goes with --method", "a model's settings are its recipe's")
        return None
    from hale.pipeline.exams import contrast_meant
    from hale.pipeline.single import names_a_method, single_scan_recipe

    contrast = contrast_meant(asked) if names_a_method(method) else None
    return single_scan_recipe(method, contrast, settings or ())


def _detect_one(job: "Job", entry: "Entry", brain_mask: Path | None, *, json: bool) -> None:
    from hale.pipeline.detect import detect
    from hale.pipeline.prepare import read_entry
    from hale.pipeline.write import as_json, write_detection

    raw = read_entry(entry, brain=brain_mask)
    detection = detect(job.model(raw), raw, job.cache, insist=job.insist, tell=tell)
    write_detection(detection, raw.source, job.out, report=job.report)
    if json:
        print_json(as_json(detection))
        return
    for note in detection.notes:
        say(f"note: {note}")
    for sentence in detection.quality.out_of_domain:
        say(f"out of domain: {sentence}")
    for finding in detection.quality.findings:
        say(f"quality, {finding.verdict}: {finding.what}")
    validity = detection.validity
    if validity is not None and not validity.holds:
        say(f"p-values not valid here: {'; '.join(validity.reasons)}")
    say(_verdict(detection.flagged, len(detection.lesions)))
    say(str(job.out / "report.html") if job.report else str(job.out))


def _detect_all(
    job: "Job", entries: "list[Entry]", crew: "Crew", *, overwrite: bool, json: bool
) -> None:
    from hale.pipeline.cohort import run_cohort

    with Bars() as bars:
        result = run_cohort(job, entries, crew=crew, overwrite=overwrite, progress=bars)
    _tell_cohort(result, job.out, json=json)
    if result.failures:
        raise typer.Exit(FINISHED_WITH_FAILURES)


def _tell_cohort(result: "CohortResult", out: Path, *, json: bool) -> None:
    """Print what became of the scans."""
    if json:
        print_json({"rows": list(result.rows), "reused": result.reused})
        return
    for failure in result.failures:
        say(f"failed {failure.id}: {failure.reason}")
    done = [row for row in result.rows if row["status"] == "done"]
    told = [f"{len(done)} scans done ({result.reused} before)", _flagged(done)]
    for verdict in ("warn", "refuse"):
        if count := sum(row["quality"] == verdict for row in done):
            told.append(f"quality: {verdict} {count}")
    say(f"{', '.join(told)}; {out / 'cohort.tsv'}")


def _flagged(rows: "list[dict[str, Any]]") -> str:
    calibrated = [row for row in rows if row["flagged"] is not None]
    if rows and not calibrated:
        return UNCALIBRATED
    return f"{sum(row['flagged'] for row in calibrated)} flagged"


def _verdict(flagged: bool | None, lesions: int) -> str:
    if flagged is None:
        return UNCALIBRATED
    found = "1 lesion" if lesions == 1 else f"{lesions} lesions"
    return f"flagged: {found}" if flagged else "not flagged"
