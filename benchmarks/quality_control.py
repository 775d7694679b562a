"""What quality control says of good scans, of hard ones, and of spoiled ones.

    python benchmarks/quality_control.py DATA --cache CACHE [--every N] [--images N] [--out OUT]

DATA holds `ixi`, `tcga/sub-FG6692` and `mslub`. Four tables of pass, warn and refuse:

- the healthy scans of IXI, against the distribution of its *standardise* and *calibrate* scans; the
  rules were set on the even half;
- hard scans, T1w against the cohort and other contrasts against the fixed rules alone: they must
  not be refused;
- the transform of every ``--every``-th IXI scan and of the hard ones spoiled after registration,
  also without the figures that compare it with the file's header or the brain's middle (`blind`);
- the image of ``--images`` scans spoiled and prepared anew from extraction on, brain and noise
  alike. Also counted: how many of these the checks of the preparation alone let through.
"""

import argparse
import csv
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from spoils import IMAGE, TRANSFORM, Spoil

from hale.core.errors import Refused
from hale.core.grid import resample, resample_mask
from hale.core.quality import Finding, Quality, Verdict
from hale.core.scan import Contrast, RawScan, Volume
from hale.core.types import Affine, Map, Mask
from hale.io.cache import Cache
from hale.io.contrast import contrast_of_name
from hale.io.nifti import stem
from hale.io.raw import read_raw
from hale.pipeline.verdict import distribution, judge
from hale.prep.bias import corrected, log_bias
from hale.prep.chain import Prepared, prepare, space_of
from hale.prep.measures import Registered, measures
from hale.prep.settings import Normalisation, Preparation
from hale.prep.template import template_on
from hale.prep.working import smoothed

GRID = space_of(Preparation()).grid
BLIND = ("rotation_deg", "volume_factor", "centre_off_mm")
"""What a registration that follows a wrong header does not show."""
SPOILED = ("transform", "image")
"""Tables that leave the spacing out: a thick-sliced scan would warn unspoiled."""
COHORT = ("standardise", "calibrate")

Figures = Mapping[str, float]
Distribution = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True, kw_only=True, eq=False)
class Placed:
    """A scan with its brain and its registration."""

    id: str
    contrast: Contrast
    volume: Volume
    prepared: Prepared

    @property
    def figures(self) -> dict[str, float]:
        """Return all figures of the scan as it lies."""
        scan, trace = self.prepared.scan, self.prepared.trace
        return self._figures(scan.image[0], scan.brain, trace.to_native)

    def moved(self, affine: Affine) -> dict[str, float]:
        """Return all figures after the registration was spoiled."""
        to_native = self.prepared.trace.to_native @ affine
        brain, grid = self.prepared.trace.brain, self.volume.grid
        image = resample(self._even, grid, GRID, transform=to_native, order=3)
        inside = resample_mask(brain, grid, GRID, transform=to_native)
        return self._figures(image, inside, to_native)

    @cached_property
    def _even(self) -> Map:
        """Return the volume without its bias field, ready to be resampled."""
        brain, grid = self.prepared.trace.brain, self.volume.grid
        calm = Volume(values=np.nan_to_num(self.volume.values), grid=grid)
        return smoothed(corrected(calm, log_bias(calm, brain)), min(GRID.spacing))

    def _figures(self, image: Map, inside: Mask, to_native: Affine) -> dict[str, float]:
        template = template_on(GRID)
        registered = Registered(
            image=image, inside=inside, template=template, grid=GRID, to_native=to_native
        )
        return measures(self.volume, self.prepared.trace.brain, registered)


def placed(raw: RawScan, cache: Cache) -> Placed:
    """Prepare an exam of one contrast; its verdict is not asked for yet."""
    contrast = next(iter(raw.volumes))
    lenient = Preparation(
        slots=((contrast,),),
        normalise=Normalisation.NONE,
        min_overlap=0.0,
        min_resemblance=0.0,
    )
    prepared = prepare(raw, lenient, cache, space_of(lenient))
    return Placed(id=raw.id, contrast=contrast, volume=raw.reference, prepared=prepared)


@dataclass(frozen=True, kw_only=True)
class Judged:
    """One line of the result."""

    table: str
    what: str
    scan: str
    quality: Quality
    figures: Figures
    blind: Verdict = Verdict.PASS
    let_through: bool = False
    """By the overlap and the resemblance that the preparation asks for."""


def judged(
    figures: Figures, cohort: Distribution | None, *, table: str, what: str, scan: str
) -> Judged:
    """Return verdicts with all figures and without the blind ones."""
    settings = Preparation()
    if table in SPOILED:
        figures = {key: value for key, value in figures.items() if key != "spacing_ratio"}
    seen = {key: value for key, value in figures.items() if key not in BLIND}
    through = (
        figures["overlap_dice"] >= settings.min_overlap
        and figures["resemblance"] >= settings.min_resemblance
    )
    return Judged(
        table=table,
        what=what,
        scan=scan,
        quality=judge(figures, cohort),
        figures=figures,
        blind=judge(seen, cohort).verdict,
        let_through=through,
    )


def spoiled_images(scans: list[Placed], cohort: Distribution, cache: Cache) -> list[Judged]:
    """Spoil each image, prepare it from the start, judge and print it."""
    header("The image spoiled before extraction")
    found = []
    for what, spoil in IMAGE.items():
        rows = [_spoiled(scan, what, spoil, cohort, cache) for scan in scans]
        line(what, rows)
        found += rows
    return found


def _spoiled(scan: Placed, what: str, spoil: Spoil, cohort: Distribution, cache: Cache) -> Judged:
    """Spoil one image; a refusal of its preparation is one."""
    volume = spoil(scan.volume, scan.prepared.trace.brain, np.random.default_rng(0))
    raw = RawScan(id=scan.id, volumes={scan.contrast: volume})
    try:
        figures = placed(raw, cache).figures
    except Refused as error:
        reason = Finding(verdict=Verdict.REFUSE, what=str(error), measure="")
        quality = Quality(findings=(reason,))
        return Judged(
            table="image",
            what=what,
            scan=scan.id,
            quality=quality,
            figures={},
            blind=quality.verdict,
        )
    return judged(figures, _cohort_of(scan, cohort), table="image", what=what, scan=scan.id)


def _cohort_of(scan: Placed, cohort: Distribution) -> Distribution | None:
    """Return the cohort of a T1w scan; other contrasts have none here."""
    return cohort if scan.contrast is Contrast.T1W else None


def header(title: str) -> None:
    """Print the head of a table."""
    print(f"\n{title}\n{'':36}{'n':>4}{'pass':>6}{'warn':>6}{'refuse':>8}", end="")
    print(f"{'blind: pass':>13}{'old checks pass':>17}", flush=True)


def line(what: str, rows: list[Judged]) -> None:
    """Print the counts of verdicts of one thing that was done."""
    count = Counter(row.quality.verdict for row in rows)
    blind = sum(row.blind is Verdict.PASS for row in rows)
    through = sum(row.let_through for row in rows)
    print(f"{what:<36}{len(rows):>4}{count[Verdict.PASS]:>6}{count[Verdict.WARN]:>6}", end="")
    print(f"{count[Verdict.REFUSE]:>8}{blind:>13}{through:>17}", flush=True)


def table(rows: list[Judged], title: str) -> None:
    """Print counts of verdicts by what was done."""
    header(title)
    for what in dict.fromkeys(row.what for row in rows):
        line(what, [row for row in rows if row.what == what])


def reasons(rows: list[Judged]) -> None:
    """Print each finding, and in what a scan lies outside the cohort."""
    for row in rows:
        for finding in row.quality.findings:
            print(f"  {row.scan}: {finding.verdict}: {finding.what}")
        for sentence in row.quality.out_of_domain:
            print(f"  {row.scan}: out of domain: {sentence}")


def healthy(data: Path, cache: Cache) -> tuple[list[Path], list[Judged], Distribution]:
    """Return the scans of IXI, their verdicts, and the distribution of their cohort."""
    with (data / "ixi/participants.tsv").open(encoding="utf-8") as file:
        split = {r["participant_id"]: r["split"] for r in csv.DictReader(file, delimiter="\t")}
    paths = sorted((data / "ixi").rglob("*_T1w.nii.gz"))
    figures = [_read(path, cache).figures for path in paths]
    names = [stem(path).removesuffix("_T1w") for path in paths]
    cohort = distribution(
        [f for f, name in zip(figures, names, strict=True) if split[name] in COHORT]
    )
    rows = []
    for number, (name, found) in enumerate(zip(names, figures, strict=True)):
        half = "odd" if number % 2 else "even"
        rows.append(judged(found, cohort, table="ixi", what=f"{split[name]}, {half}", scan=name))
    return paths, rows, cohort


def difficult(data: Path, cohort: Distribution, cache: Cache) -> tuple[list[Placed], list[Judged]]:
    """Return the hard scans and their verdicts."""
    paths = [p for f in ("tcga", "mslub") for p in sorted((data / f).rglob("*.nii.gz"))]
    scans = [_read(path, cache) for path in paths if contrast_of_name(path).contrast is not None]
    rows = [
        judged(s.figures, _cohort_of(s, cohort), table="hard", what=s.id, scan=s.id) for s in scans
    ]
    table(rows, "Thick slices, lesions, a craniotomy")
    reasons(rows)
    return scans, rows


def spoiled_transforms(scans: list[Placed], cohort: Distribution) -> list[Judged]:
    """Spoil each registration and judge what comes of it."""
    return [
        judged(
            scan.moved(affine),
            _cohort_of(scan, cohort),
            table="transform",
            what=what,
            scan=scan.id,
        )
        for what, affine in TRANSFORM.items()
        for scan in scans
    ]


def _read(path: Path, cache: Cache) -> Placed:
    contrast = contrast_of_name(path).contrast
    assert contrast is not None, path
    return placed(read_raw({contrast: path}, name=stem(path)), cache)


def main() -> None:
    """Read the arguments, judge everything, print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--cache", type=Path, default=Path("~/.cache/hale"))
    parser.add_argument("--every", type=int, default=14, help="IXI scans to spoil the transform of")
    parser.add_argument("--images", type=int, default=3, help="IXI scans to spoil the image of")
    parser.add_argument("--out", type=Path, help="a .json of all figures")
    arguments = parser.parse_args()
    cache = Cache(arguments.cache.expanduser())
    data = arguments.data
    ixi, rows, cohort = healthy(data, cache)
    table(sorted(rows, key=lambda row: row.what), "Healthy scans (IXI)")
    reasons(rows)
    hard, kept = difficult(data, cohort, cache)
    some = [_read(path, cache) for path in ixi[:: arguments.every]]
    moved = spoiled_transforms([*some, *hard], cohort)
    table(moved, "The transform spoiled after registration")
    few = some[: arguments.images]
    few += [s for s in hard if s.contrast in (Contrast.T1W, Contrast.FLAIR) and "07" not in s.id]
    damaged = spoiled_images(few, cohort, cache)
    rows = [*rows, *kept, *moved, *damaged]
    if arguments.out is not None:
        lines = [
            {"table": r.table, "what": r.what, "scan": r.scan, "verdict": r.quality.verdict}
            | dict(r.figures)
            for r in rows
        ]
        arguments.out.write_text(json.dumps(lines, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
