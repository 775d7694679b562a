"""The page about a model that people read before they trust it."""

from collections.abc import Mapping
from typing import Any

from hale.calibration import Calibration, settings_of
from hale.core.scan import Space
from hale.methods import described
from hale.recipe import Recipe, StageRecipe

CARD = """\
# {name}

{doc}

- Method: `{method}`, learning from {supervision}.
- Reference: {reference}
- Takes: {slots}; grid {shape} at {spacing} mm.
- Arithmetic: {precision} on {device}.

## Training data

{fit}
Terms: {terms}.

## Calibration

{calibration}

## Intended use

Research. Not a medical device, and not for diagnosis. The map shows where a scan departs from the
healthy scans that the model saw, at the contrasts it takes; it does not say what is there.

## Limits

- Lesions that look like healthy tissue at this contrast are not found; T1w hides many.
- The p-values hold for scans like those of the calibration (site, scanner, spacing, age). For
  others make the model valid with your own healthy scans: `hale calibrate`.
- Voxel p-values are not corrected for multiplicity. The p of a lesion is, over the whole scan.
- Left and right are taken from the file's header.
"""

PRETRAINED = """\
# {name}

{doc}

- Pretraining: `{method}`. It finds nothing by itself: a recipe names this folder (`pretrained`).
- Reference: {reference}
- Takes: {slots}.
- Arithmetic: {precision} on {device}.

## Training data

{fit}
Terms: {terms}.
"""


def card(
    recipe: Recipe,
    space: Space,
    calibration: Calibration | None,
    provenance: Mapping[str, Any],
    *,
    name: str,
) -> str:
    """Return the model card, Markdown."""
    spacing = " x ".join(f"{s:g}" for s in space.grid.spacing)
    return CARD.format(
        name=name,
        doc=(type(recipe.method).__doc__ or "").strip(),
        method=recipe.title,
        supervision=recipe.method.supervision,
        reference=recipe.reference,
        slots=" + ".join("/".join(slot) for slot in space.slots),
        shape=" x ".join(map(str, space.grid.shape)),
        spacing=spacing,
        precision=provenance.get("precision", "32"),
        device=provenance.get("device", "cpu"),
        fit=_fit(provenance),
        terms=provenance.get("fit", {}).get("terms", "not stated"),
        calibration=_calibration(calibration, provenance),
    )


def pretrained_card(recipe: StageRecipe, provenance: Mapping[str, Any], *, name: str) -> str:
    """Return the card of a pretrained encoder, Markdown."""
    about = described(recipe.method_name, type(recipe.method))
    return PRETRAINED.format(
        name=name,
        doc=about["summary"],
        method=recipe.method_name,
        reference=about["reference"],
        slots=" + ".join("/".join(slot) for slot in recipe.prep.slots),
        precision=provenance["precision"],
        device=provenance["device"],
        fit=_fit(provenance),
        terms=provenance["fit"]["terms"],
    )


def _fit(provenance: Mapping[str, Any]) -> str:
    fit = provenance.get("fit", {})
    scans = len(fit.get("scans", ()))
    lines = [f"{scans} healthy scans of `{fit.get('data', 'unknown')}`."]
    if before := provenance.get("pretrained"):
        name, taught = before["recipe"]["method"]["name"], before["fit"]
        told = f"{len(taught['scans'])} scans of `{taught['data']}`"
        lines.append(f"Its encoder was pretrained (`{name}`) on {told}.")
    if "steps_done" in fit:
        whole = "all of them" if fit.get("finished") else "cut by the time budget"
        lines.append(f"{fit['steps_done']} optimiser steps, {whole}.")
    if failed := fit.get("failed"):
        lines.append(f"{len(failed)} scans failed in preparation and were left out.")
    if cases := fit.get("cases"):
        told = f"{len(cases['scans'])} patients of `{cases['data']}`, with their lesions"
        lines.append(f"{told}: thresholds and figures must come from others.")
    if base := provenance.get("base"):
        name, data = base["recipe"]["method"]["name"], base["fit"].get("data", "unknown")
        lines.append(f"Built on `{name}` ({base['sha256'][:12]}), fitted on `{data}`.")
    return "\n".join(lines)


def _calibration(calibration: Calibration | None, provenance: Mapping[str, Any]) -> str:
    if calibration is None:
        return "None: maps and ranks only, no p-values."
    figures = settings_of(calibration)
    low, high = figures["rate_interval"]
    standardise = provenance.get("standardise", {}).get("scans", ())
    return (
        f"Standardised on {len(standardise)} healthy scans, calibrated on"
        f" {figures['n_scans']} healthy persons that the fit did not see.\n"
        f"At alpha = {figures['alpha']:g} (z0 = {figures['z0']:g}) at most"
        f" {100 * figures['alpha']:g} % of healthy scans like these are flagged, on average over\n"
        f"calibration sets; for this one set the share lies between {100 * low:.0f} and"
        f" {100 * high:.0f} % (95 %).\nThe smallest alpha that these scans can promise is"
        f" {figures['smallest_alpha']:.3g}."
    )
