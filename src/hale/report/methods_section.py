"""How a result came about, as the methods section of a paper would put it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hale.core.detection import Detection
from hale.core.scan import Contrast
from hale.post.settings import Order
from hale.prep.brain.find import EXTRACTED, GIVEN
from hale.prep.refusals import MIN_VOXELS
from hale.prep.settings import MNI152
from hale.report.words import count_of, percent, realised


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
    return [*sentences, *filter(None, [realised(told)])]
