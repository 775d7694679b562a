"""Recognition of contrasts by intensities, names and side-cars hidden: right, wrong, cannot tell.

    python benchmarks/contrast_recognition.py DATA --cache CACHE

Every image under DATA whose name says what it is, is recognised without its name: volumes after
their preparation without normalisation, single slices as they lie in MNI152. The data set is the
first folder below DATA; even and odd subjects (by the last digit of the id) stand apart, for the
bounds were chosen on the even ones. Beside each scan stand three that are made of it: its
intensities turned upside down within the brain, with Rician noise of 5 % of the 95th percentile,
and its axial slice at z = +18 mm. Phantoms of the template's tissue maps come last.

A wrong answer is printed by name; `T1w-ce` counts as `T1w`.
"""

import argparse
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from hale.core.errors import Refused
from hale.core.grid import Grid, resample
from hale.core.scan import Contrast
from hale.core.types import Map, Mask
from hale.io.cache import Cache
from hale.io.contrast import contrast_of_name
from hale.io.nifti import is_image, read_volume, stem
from hale.io.raw import read_raw
from hale.io.template import mni152, mni152_tissues
from hale.prep.chain import prepare, space_of
from hale.prep.contrast import agrees, recognise
from hale.prep.settings import Normalisation, Preparation

SETTINGS = Preparation(slots=(tuple(Contrast),), normalise=Normalisation.NONE)
SPACE = space_of(SETTINGS)
SLICE_MM = 18.0
NOISE = 0.05
PHANTOMS = {
    "T1w": (Contrast.T1W, (0.30, 0.70, 1.00)),
    "T2w": (Contrast.T2W, (3.00, 1.30, 1.00)),
    "FLAIR": (Contrast.FLAIR, (0.15, 1.15, 1.00)),
    "PDw, long TR": (Contrast.PDW, (1.10, 1.00, 0.80)),
    "PDw, short TR": (Contrast.PDW, (0.80, 1.00, 0.80)),
}
"""Intensity of fluid, grey and white matter; textbook values, no measurements."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Case:
    """An image to recognise."""

    name: str
    group: str
    truth: Contrast
    image: Map
    brain: Mask
    grid: Grid


def cases(data: Path, cache: Cache) -> Iterator[Case]:
    """Yield the scans of a folder, prepared; say which could not be."""
    for path in sorted(p for p in data.rglob("*") if is_image(p)):
        truth = contrast_of_name(path).contrast
        if truth is None:
            continue
        digits = [c for c in stem(path).split("_")[0] if c.isdigit()]
        half = "odd" if int(digits[-1] if digits else 0) % 2 else "even"
        group = f"{path.relative_to(data).parts[0]} {half}"
        volume = read_volume(path).volume
        if min(volume.grid.shape) == 1:
            image, brain, grid = volume.values, volume.values != 0, volume.grid
        else:
            try:
                scan = prepare(read_raw({Contrast.T1W: path}), SETTINGS, cache, SPACE).scan
            except Refused as refusal:
                print(refusal)
                continue
            image, brain, grid = scan.image[0], scan.brain, SPACE.grid
        yield Case(name=stem(path), group=group, truth=truth, image=image, brain=brain, grid=grid)


def made_of(case: Case, rng: np.random.Generator) -> Iterator[Case]:
    """Yield the scan and what is made of it."""
    yield case
    inside = case.image[case.brain]
    inverted = np.where(case.brain, inside.max() + inside.min() - case.image, 0)
    yield replace(case, group=f"{case.group}, inverted", image=inverted.astype(np.float32))
    if case.grid.shape[2] == 1:
        return
    noise = rng.normal(0, NOISE * np.percentile(inside, 95), (2, *case.grid.shape))
    noisy = np.hypot(case.image + noise[0], noise[1]).astype(np.float32)
    yield replace(case, group=f"{case.group}, noise", image=noisy)
    k = round((SLICE_MM - case.grid.affine[2, 3]) / case.grid.spacing[2])
    affine = case.grid.affine.copy()
    affine[2, 3] += k * case.grid.spacing[2]
    yield replace(
        case,
        group=f"{case.group}, slice",
        image=case.image[:, :, k : k + 1],
        brain=case.brain[:, :, k : k + 1],
        grid=Grid(shape=(*case.grid.shape[:2], 1), affine=affine),
    )


def phantoms(rng: np.random.Generator) -> Iterator[Case]:
    """Yield the template's tissues in the intensities of each contrast, 3 % of noise."""
    grid, template = SPACE.grid, mni152()
    head = (template.values > 0).astype(np.float32)
    inside, grey, white = (
        resample(values, template.grid, grid)
        for values in (head, *(tissue.values for tissue in mni152_tissues()))
    )
    brain = inside > 0.5
    for name, (truth, (fluid, g, w)) in PHANTOMS.items():
        clean = fluid * (inside - grey - white) + g * grey + w * white
        noise = rng.normal(0, 0.03, (2, *grid.shape))
        image = np.where(brain, np.hypot(clean + noise[0], noise[1]), 0).astype(np.float32)
        yield Case(
            name=f"phantom {name}",
            group="phantom",
            truth=truth,
            image=image,
            brain=brain,
            grid=grid,
        )


def main() -> None:
    """Recognise everything and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--cache", type=Path, default=Path("~/.cache/hale"))
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    table: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    seconds: list[float] = []
    wrong: list[str] = []
    scans = cases(arguments.data, Cache(arguments.cache.expanduser()))
    for case in (c for source in (scans, phantoms(rng)) for s in source for c in made_of(s, rng)):
        began = time.perf_counter()
        found = recognise(case.image, case.brain, case.grid)
        seconds.append(time.perf_counter() - began)
        table[case.group, case.truth][found.contrast or "cannot tell"] += 1
        if "inverted" not in case.group and not agrees(found, case.truth):
            wrong.append(f"{case.name:<32} {case.group:<18} {found.reason}")
    for (group, truth), counts in sorted(table.items()):
        said = ", ".join(f"{answer} {count}" for answer, count in counts.most_common())
        print(f"{group:<24} {truth:<8} {counts.total():>4}: {said}")
    print(f"\n{len(wrong)} wrong")
    print("\n".join(wrong))
    median, late = np.percentile(seconds, (50, 99))
    print(f"\n{median:.3f} s a scan (median), {late:.3f} s (99th percentile)")


if __name__ == "__main__":
    main()
