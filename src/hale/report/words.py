"""What the report says: the verdict, the methods paragraph, numbers with their units."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hale.core.detection import Detection
from hale.core.quality import LEFT_RIGHT, ContrastSeen
from hale.core.quality import Verdict as Fitness
from hale.core.scan import Contrast
from hale.post.settings import Order
from hale.prep.brain.find import EXTRACTED, GIVEN
from hale.prep.refusals import MIN_VOXELS
from hale.prep.settings import MNI152
from hale.report.view import DIRECTIONS

INTENDED_USE = "Research use only. Not a medical device; not for diagnosis."


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """One line, what it means, and how it is to be coloured."""

    tone: str
    """``flagged``, ``clear``, or ``open`` where nothing may be concluded."""
    headline: str
    meaning: str


def decision(detection: Detection) -> str:
    """Return what was decided of a scan, in the words of ``detection.json``."""
    if detection.flagged is None:
        return "no calibrated decision"
    return "flagged" if detection.flagged else "not flagged"


def verdict(detection: Detection) -> Verdict:
    """Say what was found, in words that need no statistics."""
    if detection.flagged is None:
        return Verdict(
            tone="open",
            headline="Map and ranks only: no calibrated decision",
            meaning="Brighter is more unusual within this scan. No healthy scans tell how unusual "
            "is too unusual, so there are no components, no p-values and no verdict.",
        )
    told = detection.calibration or {}
    alpha = float(told.get("alpha", math.nan))
    healthy = f"{percent(1 - alpha)} of healthy scans" if alpha == alpha else "healthy scans"
    valid = detection.validity is None or detection.validity.holds
    if detection.flagged:
        count = len(detection.lesions)
        return Verdict(
            tone="flagged" if valid else "open",
            headline=f"Flagged: {count_of(count, 'component')} beyond what {healthy} show",
            meaning="A component is a connected region of unusual voxels; its size and strength "
            f"count together. In {healthy}, no component anywhere in the brain counts as much. "
            f"{_realised(told)}".strip(),
        )
    return Verdict(
        tone="clear" if valid else "open",
        headline=f"Not flagged at alpha = {alpha:g}" if alpha == alpha else "Not flagged",
        meaning=f"No connected region of unusual voxels is beyond what {healthy} show. "
        "That does not make the scan normal: small or faint findings stay below this line. "
        f"{_realised(told)}".strip(),
    )


def verdict_after_review(detection: Detection) -> Verdict:
    """Say what a reader left standing; what the method decided stands in ``detection.json``."""
    count = count_of(len(detection.lesions), "component")
    decided = "" if detection.flagged is None else f" The scan itself was {decision(detection)}."
    return Verdict(
        tone="open",
        headline=f"Reviewed: {count if detection.lesions else 'no component'} left standing",
        meaning="A reader accepted, rejected or drew components; p-values are of those that the "
        f"method found, as it found them.{decided}",
    )


def quality_words(detection: Detection) -> dict[str, Any]:
    """Return what the page says of the quality of the scan and of its preparation."""
    quality = detection.quality
    headline = {
        Fitness.PASS: "",
        Fitness.WARN: "Look at the scan and its checks before the map",
        Fitness.REFUSE: "Quality control refuses this scan; the user insisted",
    }[quality.verdict]
    return {
        "quality": str(quality.verdict),
        "quality_headline": headline,
        "findings": [_sentence(finding.what) for finding in quality.findings],
        "out_of_domain": [_sentence(text) for text in quality.out_of_domain],
        "contrasts_seen": [_seen(seen) for seen in detection.contrasts_seen],
        "left_right": LEFT_RIGHT,
    }


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:].rstrip('.')}."


def _seen(seen: ContrastSeen) -> tuple[str, str]:
    """Return what a contrast was called, and what it looks like."""
    like = "cannot be told" if seen.recognised is None else f"looks like {seen.recognised}"
    return str(seen.claimed), f"{like}: {seen.why}"


def _realised(told: Mapping[str, Any]) -> str:
    """Return how often healthy scans are really flagged with this calibration set."""
    low, high = told.get("rate_interval") or (None, None)
    if low is None or high is None:
        return ""
    source = f" ({told['n_scans']} healthy scans)" if "n_scans" in told else ""
    return (
        f"With this calibration{source}, between {100 * low:.0f} and {100 * high:.0f} % of healthy "
        "scans are flagged (95\u00a0% interval)."
    )


def methods_paragraph(detection: Detection) -> str:
    """Return how the result came about, as a paper would put it, from the run's record."""
    record = detection.provenance
    recipe = record.get("recipe")
    recipe = recipe if isinstance(recipe, Mapping) else {}
    contrasts = " and ".join(contrast.value for contrast in detection.contrasts)
    tool = f"hale {record['hale']}" if record.get("hale") else "hale"
    method = str(record.get("method") or "a method that the record does not name")
    cited = f" [{record['reference']}]" if record.get("reference") else ""
    model = f", model {record['model']}" if record.get("model") else ""
    learnt = f"; it learns from {record['learnt_from']}" if record.get("learnt_from") else ""
    sentences = [
        f"The {contrasts} scan was scored by {method}{cited} with {tool}{model}{learnt}.",
        *_preparation(recipe.get("prep"), detection),
        *_post_processing(recipe.get("post")),
        *_way_back(recipe.get("prep")),
        *_calibration(detection),
    ]
    return " ".join(sentences)


def _preparation(prep: Any, detection: Detection) -> list[str]:
    """Return what was done to the scan before it was scored."""
    if not isinstance(prep, Mapping):
        return []
    mode = prep.get("mode", "full")
    as_it_came = mode == "given" or (mode == "native" and _is_not_prepared(detection))
    if as_it_came:
        where = "and in the model's space" if mode == "given" else "and stayed where it lies"
        done = f"It came brain-extracted {where}"
    else:
        steps = [_brain(prep, detection), *_bias(prep, detection)]
        steps += _registered(prep, detection) if mode == "full" else ["nothing was resampled"]
        done = f"{', '.join(steps[:-1])}, and {steps[-1]}"
    scaled = _scaled(prep, detection)
    return [f"{done}; {scaled}." if scaled else f"{done}."]


def _is_not_prepared(detection: Detection) -> bool:
    """Say whether a scan that stays where it lies was taken as it came."""
    shapes = [volume.grid.shape for volume in detection.contrasts.values()]
    return len(shapes) > 1 or min(shapes[0]) < MIN_VOXELS


def _brain(prep: Mapping[str, Any], detection: Detection) -> str:
    """Return where the brain is from."""
    if GIVEN in detection.notes:
        return "The brain was given as a mask"
    if EXTRACTED in detection.notes:
        return "The scan came brain-extracted"
    if Contrast.CT in detection.contrasts:
        return (
            "The brain was extracted by thresholds on Hounsfield units "
            "[https://doi.org/10.1016/j.neuroimage.2015.03.074]"
        )
    extractor = {
        "deepbet": "deepbet [https://doi.org/10.1016/j.compbiomed.2024.108845]",
        "template": f"registering the head to {_template(prep, detection)}",
        "command": f"the command '{prep.get('brain_command')}'",
    }[prep.get("brain", "deepbet")]
    return f"The brain was extracted by {extractor}"


def _bias(prep: Mapping[str, Any], detection: Detection) -> list[str]:
    wanted = prep.get("bias") and Contrast.CT not in detection.contrasts
    return ["the bias field corrected (N4)"] if wanted else []


def _registered(prep: Mapping[str, Any], detection: Detection) -> list[str]:
    """Return how the scan came onto the model grid."""
    first, *others = detection.contrasts
    which = f"the {first}" if others else "the scan"
    deformable = prep.get("registration") == "deformable"
    how = "affine, then SyN by ANTs" if deformable else "affine"
    steps = [f"{which} registered to {_template(prep, detection)} ({how})"]
    steps += [f"the {other} laid on the {first} (rigid)" for other in others]
    if count := prep.get("curvature_flow"):
        steps.append(f"smoothed by curvature flow ({count_of(count, 'iteration')})")
    spacing = f" to {prep['spacing_mm']:g} mm" if "spacing_mm" in prep else ""
    return [*steps, f"resampled{spacing}"]


def _template(prep: Mapping[str, Any], detection: Detection) -> str:
    """Return the name of the template that the reference contrast is laid on."""
    reference = next(iter(detection.contrasts))
    where = prep.get("templates", {}).get(str(reference), prep.get("template", MNI152))
    return "MNI152" if where == MNI152 else Path(where).name


def _scaled(prep: Mapping[str, Any], detection: Detection) -> str:
    """Return what became of the intensities; empty where nothing did."""
    match prep.get("normalise"):
        case "percentile":
            low, high = prep.get("low", 1), prep.get("high", 99)
            limited = ", limited to that range" if prep.get("clip") else ""
            scaled = f"from percentiles {low:g} and {high:g} onto 0 and 1{limited}"
            return f"intensities in the brain were scaled {scaled}"
        case "robust_z":
            return "intensities were centred on the brain's median over its spread"
        case "window":
            low, high = prep.get("window", (0, 80))
            unit = " HU" if Contrast.CT in detection.contrasts else ""
            window = f"values from {low:g} to {high:g}{unit} were scaled onto 0 and 1"
            return f"{window}, limited to that range"
    return ""


def _way_back(prep: Any) -> list[str]:
    """Return how the map came onto the scan's grid."""
    moved = not isinstance(prep, Mapping) or prep.get("mode", "full") == "full"
    return ["The map was resampled onto the scan's own grid."] if moved else []


def _post_processing(post: Any) -> list[str]:
    """Return what was done to the map before it was calibrated."""
    if not isinstance(post, Mapping):
        return []
    steps = []
    if post.get("smooth_mm"):
        steps.append(f"smoothed inside the brain ({post['smooth_mm']:g} mm FWHM)")
    if post.get("median"):
        steps.append(f"median-filtered over {count_of(post['median'], 'voxel')}")
    if post.get("erode"):
        at = len(steps) if post.get("order") == Order.MEDIAN_FIRST else 0
        steps.insert(at, f"cleared of a rim of {count_of(post['erode'], 'voxel')}")
    return [f"The anomaly map was {', '.join(steps)}."] if steps else []


def _calibration(detection: Detection) -> list[str]:
    """Return what the figures rest on."""
    told = detection.calibration
    if told is None or detection.pvalue is None:
        return [
            "The method carries no calibration: its score has a scale of its own and orders the "
            "voxels of this scan only."
        ]
    scans = f"{told.get('n_scans', 'the')} healthy scans that the fit did not see"
    voxels = f" ({told['n_voxels']:,} voxels)" if isinstance(told.get("n_voxels"), int) else ""
    sentences = [
        "It was standardised voxel by voxel to z, how far it is from healthy brains there.",
        f"A voxel's p-value is the share of brain voxels of {scans}{voxels} that reach its z; "
        "voxel p-values are not corrected for multiplicity.",
    ]
    if "z0" in told and "alpha" in told:
        sentences.append(
            f"Voxels with z above {told['z0']:g} form 26-connected components; a component's "
            "mass, the sum of z above that line times the voxel volume, is compared with the "
            "heaviest component of each of these scans (split conformal prediction), and the "
            f"component is kept if its p-value is at most alpha = {told['alpha']:g}. Of new "
            f"healthy scans like these, at most {percent(told['alpha'])} are flagged on average "
            "over calibration sets."
        )
    return [*sentences, *filter(None, [_realised(told)])]


def count_of(number: int, noun: str) -> str:
    """Return a number of things, e.g. ``1 component``, ``2 components``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def percent(share: float) -> str:
    """Return a share as a percentage, e.g. ``90 %``."""
    return f"{100 * share:.3g} %"


def position(mm: Sequence[float] | None) -> str:
    """Return a position with its directions, e.g. ``L 32.1, A 10.0, S 45.2 mm``."""
    if mm is None:
        return "–"
    named = (
        f"{names[value < 0]} {abs(value):.1f}" for names, value in zip(DIRECTIONS, mm, strict=True)
    )
    return ", ".join(named) + " mm"


def p_value(p: float) -> str:
    """Return a p-value with two figures."""
    return "undefined" if math.isnan(p) else f"{p:.2g}"


def volume(ml: float) -> str:
    """Return a volume, small ones with more places."""
    return f"{ml:.2f} ml" if ml < 10 else f"{ml:.1f} ml"
