"""The page that a radiologist opens after `hale detect`: one HTML file, nothing beside it."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined

from hale.core.detection import Detection
from hale.report.canvas import Picture
from hale.report.checks import brain_check, registration_check
from hale.report.figure import closeup, comparison, mosaic
from hale.report.methods_section import methods_paragraph
from hale.report.view import first_volume, tilt
from hale.report.words import (
    INTENDED_USE,
    count_of,
    p_value,
    position,
    quality_words,
    verdict,
    verdict_after_review,
    volume,
)

CLOSEUPS = 6
"""The heaviest lesions are shown close up; all of them are in the table."""

CHECKS = {
    "brain_ml": "Brain volume",
    "overlap_dice": "Overlap with the template's brain (Dice, 1 is perfect)",
    "resemblance": "Share of its intensities that the template explains (brains: 0.2 to 0.7)",
    "outside_share": "Share of the brain outside the field of view",
    "rotation_deg": "Turn of the head against the file's header",
    "noise": "Noise over the brain's grey-value range",
    "ghosting": "Ghosting (correlation with a shifted copy)",
}
UNITS = {"ml": "ml", "mm": "mm", "deg": "°", "seconds": "s"}
"""What the last part of a figure's name says about its unit."""

RECORD = {
    "date": "Date",
    "command": "Command",
    "hale": "hale version",
    "method": "Method",
    "learnt_from": "Learns from",
    "reference": "Reference",
    "recipe_name": "Recipe",
    "model": "Model",
    "model_sha256": "Model SHA-256",
    "input_files": "Input",
    "input_sha256": "Input SHA-256",
    "precision": "Precision",
    "seed": "Seed",
    "versions": "Versions",
}


def write_report(detection: Detection, path: Path, review: Sequence[str] = ()) -> None:
    """Write the report of one scan to ``path``, a self-contained HTML file.

    Args:
        detection: As it was found, or as a reader left it.
        path: Of the file.
        review: What a reader said and changed, a sentence each; empty for a report of hale alone.
    """
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(position=position, p=p_value, volume=volume)
    source = files("hale.report").joinpath("page.html.j2").read_text(encoding="utf-8")
    path.write_text(
        environment.from_string(source).render(_content(detection, review)), encoding="utf-8"
    )


def _content(detection: Detection, review: Sequence[str]) -> dict[str, Any]:
    """Return what the template's names stand for."""
    shown = sorted(detection.lesions, key=lambda lesion: lesion.mass, reverse=True)[:CLOSEUPS]
    grid = first_volume(detection).grid
    return {
        "detection": detection,
        "review": review,
        "verdict": verdict_after_review(detection) if review else verdict(detection),
        "intended_use": INTENDED_USE,
        "facts": list(_facts(detection)),
        "contrast": next(iter(detection.contrasts)).value,
        "tilt": tilt(grid),
        "invalid": detection.validity is not None and not detection.validity.holds,
        "mosaic": mosaic(detection),
        "closeups": [(lesion, closeup(detection, lesion)) for lesion in shown],
        "found": count_of(len(detection.lesions), "component"),
        "calibration": detection.calibration or {},
        "comparison": comparison(detection),
        "brain": brain_check(detection),
        "registrations": _registrations(detection),
        **quality_words(detection),
        **_figures(detection.checks),
        "methods": methods_paragraph(detection),
        "record": list(_record(detection.provenance)),
        "recipe": _recipe(detection.provenance.get("recipe")),
    }


def _facts(detection: Detection) -> Iterable[tuple[str, str]]:
    """Yield what the header says about the scan."""
    grid = first_volume(detection).grid
    yield "Contrast", ", ".join(contrast.value for contrast in detection.contrasts)
    yield "Voxels", " × ".join(str(length) for length in grid.shape)
    yield "Voxel size", " × ".join(f"{mm:.2f}" for mm in grid.spacing) + " mm"
    yield "Brain", f"{detection.brain.sum() * grid.voxel_ml:.0f} ml"
    unit = "mean z" if detection.pvalue is not None else "mean score"
    yield "Scan score", f"{detection.score:.3g} ({unit} of the top 1 % of the brain)"
    if model := detection.provenance.get("model"):
        yield "Model", str(model)
    if date := detection.provenance.get("date"):
        yield "Date", str(date)[:16].replace("T", " ")


def _registrations(detection: Detection) -> list[tuple[str, Picture]]:
    """Return the registration picture of each contrast."""
    if "scan" not in detection.template:
        return []
    template = detection.template["template"]
    images = zip(detection.contrasts, detection.template["scan"], strict=True)
    return [(contrast.value, registration_check(image, template)) for contrast, image in images]


def _figures(checks: Mapping[str, float]) -> dict[str, list[tuple[str, str]]]:
    """Return the figures that a reader should see, and all others."""
    shown = [name for name in CHECKS if name in checks]
    return {
        "checks": [_check(name, float(checks[name])) for name in shown],
        "more_checks": [_check(n, float(x)) for n, x in checks.items() if n not in CHECKS],
    }


def _check(name: str, value: float) -> tuple[str, str]:
    """Return a figure of the preparation in words, and with its unit."""
    words = name.split("_")
    unit = UNITS.get(words[-1], "")
    label = CHECKS.get(name) or " ".join(words[:-1] if unit else words).capitalize()
    if math.isnan(value):
        return label, "undefined"
    figure = f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return label, f"{figure} {unit}".strip()


def _record(provenance: Mapping[str, Any]) -> Iterable[tuple[str, list[str]]]:
    """Yield the rows of the provenance table, known ones first; the recipe stands elsewhere."""
    rest = [key for key in provenance if key not in RECORD and key != "recipe"]
    recipe = provenance.get("recipe")
    for key in [*RECORD, *rest]:
        value = provenance.get(key)
        if key == "seed" and value is None and isinstance(recipe, Mapping):
            value = recipe.get("seed")
        if value is not None and value != "":
            yield RECORD.get(key, key.replace("_", " ").capitalize()), _lines(value)


def _lines(value: Any) -> list[str]:
    """Return ``value`` as lines of text."""
    if isinstance(value, Mapping):
        return [f"{key} {item}" for key, item in value.items()]
    if isinstance(value, Iterable) and not isinstance(value, str):
        return [str(item) for item in value]
    return [str(value)]


def _recipe(recipe: Any) -> str:
    """Return the resolved recipe as indented text, empty without one."""
    return json.dumps(recipe, indent=2, ensure_ascii=False, default=str) if recipe else ""
