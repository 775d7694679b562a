"""SADM taught by patients, two-fold: either half of the patients is scored by the other's.

    python benchmarks/sadm_two_fold.py --data SOOP --base MODEL --budget 10 --work FOLDER [MODEL...]

The slices with lesion are halved by even and odd numbers. On either half, and on the slices without
acute lesion, `sadm-cases-flair-slice` is fitted, on the base that is named; it scores the other
half. The figures are those of `flair_slices.py`, for the models beside it too, on the same slices.
Other than theirs, its rows are supervised, and the table says so.

The grey values under the lesions betray how they were coded: see `lesion_rims.py`. With
`--coarse-grey` all slices, healthy ones too, lose their two lowest bits before anything learns from
them or is scored; a supervised figure is to be believed as far as that does not change it.
"""

import argparse
import csv
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from flair_slices import Scored, row, scored

from hale.core.scan import Split
from hale.data.bids import read_bids
from hale.data.cohort import of_split
from hale.io.cache import Cache
from hale.io.model import is_model
from hale.io.nifti import read_volume
from hale.pipeline.fit import fit
from hale.pipeline.job import Options
from hale.pipeline.model import Model, load_model
from hale.pipeline.prepare import read_entry
from hale.prep.chain import prepare
from hale.recipe import bundled, read_recipe

RECIPE = "sadm-cases-flair-slice"
LOW_BITS = 0b11
HALVES = ("even", "odd")


def half_of(name: str) -> str:
    """Return in which half a patient is."""
    return "even" if int(name.removeprefix("sub-")) % 2 == 0 else "odd"


def folders(data: Path, work: Path, *, coarse: bool) -> dict[str, Path]:
    """Write the folders that fits and scores read: healthy slices, and each half of the patients.

    The healthy folder lists no patient with lesion: nobody may both teach and be apart.
    """
    with (data / "participants.tsv").open(encoding="utf-8", newline="") as file:
        split = {
            row["participant_id"]: row["split"] for row in csv.DictReader(file, delimiter="\t")
        }
    wanted: dict[str, dict[str, str]] = {
        "healthy": {name: part for name, part in split.items() if part != Split.TEST}
    }
    for half in HALVES:
        ill = [name for name, part in split.items() if part == Split.TEST and half_of(name) == half]
        wanted[half] = dict.fromkeys(ill, str(Split.FIT))
    for folder, people in wanted.items():
        _write(data, work / folder, people, coarse=coarse)
    return {folder: work / folder for folder in wanted}


def _write(data: Path, out: Path, people: dict[str, str], *, coarse: bool) -> None:
    """Copy people's slices and masks, and list them with their splits."""
    if (out / "participants.tsv").is_file():
        return
    for name in people:
        for path in sorted((data / name / "anat").glob("*.nii.gz")):
            target = out / name / "anat" / path.name
            target.parent.mkdir(parents=True, exist_ok=True)
            if coarse and not path.name.endswith("_mask.nii.gz"):
                _write_coarse(path, target)
            else:
                shutil.copyfile(path, target)
    rows = "".join(f"{name}\t{split}\n" for name, split in people.items())
    (out / "participants.tsv").write_text(f"participant_id\tsplit\n{rows}", encoding="utf-8")


def _write_coarse(path: Path, target: Path) -> None:
    """Write a slice whose brain has 64 grey levels: the middle of each four."""
    image: Any = nib.load(path)
    grey = np.asarray(image.dataobj)
    coarse = np.where(grey > 0, (grey & ~np.uint8(LOW_BITS)) | np.uint8(2), grey)
    nib.save(nib.Nifti1Image(coarse.astype(np.uint8), image.affine, image.header), target)


def taught_by(half: str, places: dict[str, Path], arguments: argparse.Namespace) -> Model:
    """Return the model that a half of the patients taught; fit it, unless it is there."""
    out = arguments.work / f"taught-by-{half}"
    if not is_model(out):
        recipe = read_recipe(bundled()[RECIPE], [f"base={arguments.base}", *arguments.set])
        options = Options(
            device=arguments.device,
            budget_minutes=arguments.budget,
            cache=Cache(arguments.cache.expanduser()),
            tell=print,
        )
        fit(recipe, places["healthy"], out, options, places[half])
    return load_model(out, device=arguments.device)


def scored_in(model: Model, folder: Path, cache: Path) -> list[Scored]:
    """Return the slices of a folder of patients, scored."""
    found = []
    for entry in of_split(read_bids(folder, model.space.slots), Split.FIT):
        raw = read_entry(entry)
        prepared = prepare(raw, model.recipe.prep, Cache(cache), model.space)
        reference = next((folder / raw.id).rglob("*lesion_mask.nii.gz"))
        found.append(scored(model, prepared, read_volume(reference).volume.values > 0))
    return found


def rows_of(model: Model, parts: dict[str, list[Scored]]) -> Iterable[dict[str, Any]]:
    """Yield a line of the table for each half of the patients."""
    for part, slices in parts.items():
        line = row(model, part, slices)
        yield {"learnt_from": str(model.recipe.method.supervision), **line}


def main() -> None:
    """Read the arguments, fit, score, print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", type=Path, help="to stand beside it")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--base", type=Path, required=True, help="a fitted diffusion model")
    parser.add_argument("--budget", type=float, help="minutes for each of the two fits")
    parser.add_argument("--work", type=Path, required=True, help="folders, models and the table")
    parser.add_argument("--coarse-grey", action="store_true", help="drop the two lowest bits first")
    parser.add_argument("--set", action="append", default=[], help="of the recipe")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--cache", type=Path, default=Path("~/.cache/hale"))
    arguments = parser.parse_args()
    places = folders(arguments.data, arguments.work, coarse=arguments.coarse_grey)
    cache = arguments.cache.expanduser()
    taught = {half: taught_by(half, places, arguments) for half in HALVES}
    parts = {
        "even": scored_in(taught["odd"], places["even"], cache),
        "odd": scored_in(taught["even"], places["odd"], cache),
    }
    rows = list(rows_of(replace(taught["odd"], name="sadm_cases, two-fold"), parts))
    _show(rows)
    for folder in arguments.models:
        model = load_model(folder, device=arguments.device)
        parts = {half: scored_in(model, places[half], cache) for half in HALVES}
        beside = list(rows_of(model, parts))
        _show(beside)
        rows += beside
    with (arguments.work / "two_fold.tsv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter="\t", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _show(rows: Sequence[dict[str, Any]]) -> None:
    for line in rows:
        print(" | ".join(str(value) for value in line.values()), flush=True)


if __name__ == "__main__":
    main()
