"""Hale learns what a healthy brain looks like and shows where a scan departs from it.

The three jobs of the command line, in Python, and a viewer for notebooks::

    import hale

    model = hale.fit("atlas-default", data="healthy", out="models/atlas")
    detection = hale.detect(model, "scan.nii.gz", out="result")
    hale.view(detection)

Both take a list of files too: one exam each.

Importing is light: torch and the rest load when a job is called.
"""

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, overload

if TYPE_CHECKING:
    import hale.core.detection
    import hale.pipeline.model

__all__ = ["__version__", "detect", "fit", "load", "view"]
__version__ = version("hale")


def fit(
    recipe: str | Path,
    data: str | Path | Sequence[str | Path],
    out: str | Path,
    *,
    cases: str | Path | None = None,
    settings: Sequence[str] = (),
    device: str = "auto",
    cache: str | Path | None = None,
) -> "hale.pipeline.model.Model":
    """Learn from healthy scans, standardise and calibrate; write the model folder and return it.

    Args:
        recipe: A TOML file, or the name of a bundled recipe.
        data: Folder of healthy scans, as `hale fit` takes it; or their files, an exam each. A
            ``participants.tsv`` above them says age and split.
        out: Folder of the model, empty or none yet.
        cases: Folder of patients with lesion masks, for methods that learn from them.
        settings: ``section.key=value``, each wins over the recipe's value.
        device: ``auto``, ``cpu`` or ``cuda``.
        cache: Folder that keeps prepared stages; None keeps nothing.

    Raises:
        Refused: A wrong recipe, too few scans, or an ``out`` that holds something.
    """
    from hale.io.cache import Cache
    from hale.pipeline.fit import fit as run
    from hale.pipeline.job import Options
    from hale.recipe import bundled_or_path, read_recipe

    chosen = read_recipe(bundled_or_path(str(recipe)), settings)
    options = Options(device=device, cache=Cache(_path(cache)))
    healthy = Path(data) if isinstance(data, str | Path) else [Path(path) for path in data]
    return run(chosen, healthy, _empty(out), options, _path(cases))


def load(folder: str | Path, *, device: str = "cpu") -> "hale.pipeline.model.Model":
    """Return the model that `fit` wrote into ``folder``.

    Args:
        folder: Of the model.
        device: Where its network is to run: ``auto``, ``cpu`` or ``cuda``.

    Raises:
        Refused: No model, newer, incomplete, damaged or altered.
    """
    from hale.pipeline.model import load_model

    return load_model(Path(folder), device=device)


@overload
def detect(
    model: "hale.pipeline.model.Model",
    scan: str | Path | Mapping[str, str | Path],
    out: str | Path | None = None,
    *,
    brain: str | Path | None = None,
    cache: str | Path | None = None,
    insist: bool = False,
) -> "hale.core.detection.Detection": ...
@overload
def detect(
    model: "hale.pipeline.model.Model",
    scan: list[Any],
    out: str | Path | None = None,
    *,
    brain: None = None,
    cache: str | Path | None = None,
    insist: bool = False,
) -> list["hale.core.detection.Detection"]: ...
def detect(
    model: "hale.pipeline.model.Model",
    scan: str | Path | Mapping[str, str | Path] | list[Any],
    out: str | Path | None = None,
    *,
    brain: str | Path | None = None,
    cache: str | Path | None = None,
    insist: bool = False,
) -> "hale.core.detection.Detection | list[hale.core.detection.Detection]":
    """Show where a scan departs from healthy brains; arrays are on the scan's grid, RAS+.

    Args:
        model: From `fit` or `load`.
        scan: An image file, a subject's, session's or DICOM folder, or an exam's files by contrast,
            such as ``{"T1w": "a.nii.gz", "FLAIR": "b.nii.gz"}``. Of a list of these, a list.
        out: Folder for the files that `hale detect` writes, empty or none yet; None writes nothing.
            Of a list, each exam gets a folder there, by its id.
        brain: Brain mask on the scan's grid; skips extraction.
        cache: Folder that keeps prepared stages; None keeps nothing.
        insist: Go on where contrast or quality control refuse; the detection says so.

    Raises:
        Refused: The scan cannot be read or prepared, or ``out`` holds something.
    """
    from hale.io.cache import Cache
    from hale.pipeline.detect import detect as run
    from hale.pipeline.exams import asked_for, only_exam
    from hale.pipeline.prepare import read_entry
    from hale.pipeline.write import write_detection

    place = None if out is None else _empty(out)
    if isinstance(scan, list):
        return _detect_each(model, scan, place, _path(cache), insist=insist)
    with TemporaryDirectory(prefix="hale-") as scratch:
        entry = only_exam(asked_for(scan), model.space.slots, Path(scratch))
        raw = read_entry(entry, brain=_path(brain))
    detection = run(model, raw, Cache(_path(cache)), insist=insist)
    if place is not None:
        write_detection(detection, raw.source, place)
    return detection


def _detect_each(
    model: "hale.pipeline.model.Model",
    scans: list[Any],
    out: Path | None,
    cache: Path | None,
    *,
    insist: bool,
) -> list["hale.core.detection.Detection"]:
    """Return a detection a scan; refuse two scans with one id before anything is done."""
    from hale.data.cohort import refuse_repeated_ids
    from hale.pipeline.exams import asked_for, only_exam

    with TemporaryDirectory(prefix="hale-") as scratch:
        slots = model.space.slots
        entries = [
            only_exam(asked_for(one), slots, Path(scratch) / str(n)) for n, one in enumerate(scans)
        ]
        refuse_repeated_ids(entries)
        return [
            detect(model, one, out and out / entry.id, cache=cache, insist=insist)
            for one, entry in zip(scans, entries, strict=True)
        ]


def view(
    found: "hale.core.detection.Detection | str | Path", scan: str | Path | None = None
) -> Any:
    """Show a result in a notebook: scan, anomaly map and lesions, in ipyniivue.

    Args:
        found: From `detect`, or a folder that `hale detect` or the station wrote.
        scan: Of a folder: its scan, where no copy lies beside the result.

    Returns:
        The widget; each of its ``volumes`` has an ``opacity``, the pseudo-healthy image's is 0.

    Raises:
        Refused: ipyniivue is not installed (``pip install 'hale[notebook]'``), or no result.
    """
    from hale.core.detection import Detection
    from hale.serve.notebook import layers_in, layers_of, widget

    if isinstance(found, Detection):
        return widget(layers_of(found))
    return widget(layers_in(Path(found), _path(scan)))


def _path(path: str | Path | None) -> Path | None:
    return None if path is None else Path(path)


def _empty(out: str | Path) -> Path:
    """Return ``out``, refusing a place that holds something: writing would replace all of it."""
    from hale.core.errors import Refused

    place = Path(out)
    if place.exists() and (not place.is_dir() or any(place.iterdir())):
        raise Refused(str(place), "is not empty", "give another folder, or remove it")
    return place
