"""A made leaderboard with every kind of row: no method was run for it, its numbers are drawn."""

from pathlib import Path

import numpy as np

from hale.bench.pictures import Seen, draw_case
from hale.core.method import Supervision

METHODS = {
    "intensity": ("Plain intensity", Supervision.NONE, False),
    "asymmetry": ("Left-right asymmetry", Supervision.NONE, False),
    "atlas": ("Voxel-wise atlas", Supervision.HEALTHY, True),
    "vae": ("Variational autoencoder", Supervision.HEALTHY, True),
    "ddpm": ("Denoising diffusion, Gaussian noise", Supervision.HEALTHY, True),
    "sadm": ("Segmented diffusion", Supervision.LESION_MASKS, True),
}
COHORTS = [
    ("soop-odd", "SOOP, odd subjects", "FLAIR", "stroke", "patients", 9, 9, "One slice each."),
    ("ixi-planted", "IXI with planted lesions", "T1w", "planted", "synthetic", 12, 4, ""),
    ("tcga", "TCGA, two gliomas", "FLAIR", "glioma", "patients", 2, 2, ""),
    ("ixi-test", "IXI, healthy", "T1w", "healthy", "healthy", 21, 21, ""),
]
CELLS = [(volume, change) for volume in (0.5, 4.0, 20.0) for change in (-3, -1, 1, 3)]


def figure(value, n=9, half=0.08, seed_sd=None):
    """Return a figure with an interval."""
    ends = {"low": max(0, value - half), "high": min(1, value + half)} if value is not None else {}
    empty = {"low": None, "high": None}
    return {"value": value, "n": n, "seed_sd": seed_sd, "fold_sd": None, **empty, **ends}


def make_board(folder: Path, *, pictures=True) -> dict:
    """Return a board, and draw its pictures into ``folder``."""
    rng = np.random.default_rng(0)
    names = ("name", "title", "contrast", "disease", "kind", "scans", "people", "note")
    cohorts = [dict(zip(names, one, strict=True)) for one in COHORTS]
    rows = [_row(method, cohort, rng) for cohort in cohorts for method in METHODS]
    rows = [row for row in rows if (row["method"], row["cohort"]) != ("ddpm", "ixi-planted")]
    if pictures:
        (folder / "pictures").mkdir(parents=True, exist_ok=True)
        (folder / "pictures/ball.png").write_bytes(draw_case(ball()))
        for row in rows:
            if row["kind"] != "healthy":
                for kind, auprc in (("best", 0.71), ("worst", 0.02)):
                    told = {"id": f"sub-{kind}", "auprc": auprc, "file": "pictures/ball.png"}
                    row["pictures"][kind] = [told]
    return {
        "suite": {
            "name": "made",
            "title": "A made suite",
            "notes": ["Numbers are drawn, not measured."],
            "sha256": "5a" * 32,
            "figure": "auprc_own",
            "baseline": "intensity",
        },
        "made": {
            "hale": "0.1.0",
            "python": "3.11.9",
            "versions": {"numpy": "2.0", "torch": "2.6"},
            "date": "2026-01-02T03:04:05",
            "commit_fit": "f1t" * 13,
            "commit": "c0ffee" * 7,
        },
        "cohorts": cohorts,
        "rows": rows,
        "missing": [
            _missing("ddpm", "Denoising diffusion", "ixi-planted", "ran out of its time budget"),
            _missing("strega", "StRegA", "elsewhere", "the scans are not here"),
        ],
    }


def _missing(method, title, cohort, reason) -> dict:
    return {"method": method, "title": title, "cohort": cohort, "reason": reason}


def ball(*, lesion=True) -> Seen:
    """Return a ball for a brain, half of whose lesion is found, with one false mark."""
    shape = (40, 48, 12)
    offset = np.indices(shape) - np.reshape([19.5, 23.5, 5.5], (3, 1, 1, 1))
    brain = ((offset / np.reshape([17, 21, 5.4], (3, 1, 1, 1))) ** 2).sum(0) < 1
    mask, found = np.zeros(shape, bool), np.zeros(shape, bool)
    if lesion:
        mask[24:32, 20:30, 4:8] = True
        mask[24:32, 20:31, 7] = True
    found[24:28, 20:30, 4:8] = True
    found[8:12, 30:34, 7] = True
    noise = np.random.default_rng(1).normal(0, 0.05, shape)
    scan = (brain * (1 + noise) + mask * 0.5).astype(np.float32)
    anomaly = (brain * (0.2 + noise) + found).astype(np.float32)
    return Seen(
        scan=scan, anomaly=anomaly, brain=brain, lesion=mask, found=found, spacing=(4.0, 4.0, 6.0)
    )


def _row(method, cohort, rng) -> dict:
    title, supervision, trained = METHODS[method]
    is_healthy, base = cohort["kind"] == "healthy", method == "intensity"
    level = min(0.9, 0.15 + 0.12 * list(METHODS).index(method) * rng.uniform(0.6, 1))
    n = cohort["scans"]
    calibrated = method != "asymmetry"
    cases = [_case(number, level, cohort, rng, calibrated) for number in range(n)]
    names = ["auprc", "best_dice_oracle", "dice_at_alpha", "dice_at_fpr01"]
    names += ["auprc_own"] if calibrated else []
    figures = {name: _mean_of(cases, name) for name in names}
    figures |= {"lesion_recall": figure(min(1, level + 0.2)), "lesion_recall_small": figure(0.1)}
    if is_healthy:
        figures = {"healthy_fpr01": figure(0.011, n, 0.004)}
        figures["healthy_false_components"] = figure(0.2 + level, n)
    alpha, fpr01 = figures.get("dice_at_alpha"), figures.get("dice_at_fpr01")
    oracle = figures.get("best_dice_oracle")
    validation = None if oracle is None else figure(oracle["value"] * 0.93)
    return {
        "method": method,
        "title": title,
        "supervision": str(supervision),
        "cohort": cohort["name"],
        "contrast": cohort["contrast"],
        "disease": cohort["disease"],
        "kind": cohort["kind"],
        "seeds": [0, 1],
        "folds": [0],
        "figures": figures,
        "points": {
            "oracle": oracle,
            "validation": validation,
            "alpha": alpha,
            "fpr01": fpr01,
            "gap_validation": _gap(oracle, validation),
            "gap_alpha": _gap(oracle, alpha),
            "gap_fpr01": _gap(oracle, fpr01),
        },
        "healthy": _alarms(method) if calibrated else None,
        "against": {} if base or is_healthy else {"intensity": _against(method, level)},
        "pairs": {} if base or is_healthy else {"atlas": _pair(0.1), "asymmetry": _pair(-0.2)},
        "by_lesion": _by_lesion(level) if cohort["kind"] == "synthetic" else [],
        "by_size": {} if is_healthy else _by_size(level),
        "cases": cases,
        "curves": {} if is_healthy else _curves(level),
        "pictures": {"best": [], "worst": []},
        "failed": [{"id": "sub-77", "reason": "the map holds NaN"}] if method == "vae" else [],
        "card": _card(method, trained),
    }


def _case(number, level, cohort, rng, calibrated) -> dict:
    auprc = float(np.clip(rng.beta(8 * level + 0.3, 8 * (1 - level) + 0.3), 0, 1))
    ill = cohort["kind"] != "healthy"
    own = {"auprc_own": auprc * 0.9 if ill else None} if calibrated else {}
    return {
        **own,
        "id": f"sub-{number:02d}",
        "patient": f"sub-{number:02d}",
        "kind": "lesion" if ill else "healthy",
        "lesion_ml": float(rng.lognormal(1, 1)) if ill else 0.0,
        "auprc": auprc if ill else None,
        "best_dice_oracle": auprc**0.8 if ill else None,
        "dice_at_alpha": auprc * 0.6 if ill and calibrated else None,
        "dice_at_fpr01": auprc * 0.75 if ill and calibrated else None,
        "hd95_mm": float(rng.uniform(5, 60)) if ill else None,
        "flagged": bool(rng.random() < 0.5) if calibrated else None,
        "score": float(rng.uniform(2, 6)),
    }


def _mean_of(cases, name) -> dict:
    known = [case[name] for case in cases if case[name] is not None]
    return figure(float(np.mean(known)) if known else None, len(known), seed_sd=0.012)


def _gap(oracle, point):
    if oracle is None or point is None or None in (oracle["value"], point["value"]):
        return figure(None, 0)
    return figure(oracle["value"] - point["value"])


def _alarms(method) -> dict:
    flagged = {"ddpm": 7, "vae": 3}.get(method, 2)
    return {"flagged": flagged, "of": 21, "low": 0, "high": 5, "alpha": 0.1}


def _against(method, level) -> dict:
    told = {"atlas": "not told apart", "asymmetry": "worse"}.get(method, "better")
    difference = {"worse": -0.06, "not told apart": 0.04}.get(told, level - 0.15)
    return {
        "figure": "auprc_own",
        "difference": difference,
        "low": difference - 0.05,
        "high": difference + 0.05,
        "p": 0.004,
        "p_holm": 0.02,
        "verdict": told,
    }


def _pair(difference) -> dict:
    told = "better" if difference > 0 else "worse"
    return {"difference": difference, "p_holm": 0.03, "verdict": told}


def _by_lesion(level) -> list:
    return [
        {
            "volume_ml": volume,
            "contrast_sd": change,
            "n": 4,
            "figures": {"auprc": figure(min(0.97, level * abs(change) / 2 + volume / 60), 4)},
        }
        for volume, change in CELLS
    ]


def _by_size(level) -> dict:
    sizes = ("below 1 ml", "1 to 10 ml", "above 10 ml")
    return {size: figure(min(1, level * 0.6 * (n + 1)), 5) for n, size in enumerate(sizes)}


def _curves(level) -> dict:
    recall = np.linspace(0.01, 1, 60)
    false = np.geomspace(0.1, 20, 60)
    return {
        "pr": {
            "recall": recall.tolist(),
            "precision": ((1 - recall) ** (1 / (3 * level)) * 0.9).tolist(),
        },
        "froc": {
            "false_per_scan": false.tolist(),
            "recall": (1 - np.exp(-false * level / 2)).tolist(),
        },
    }


def _card(method, trained) -> dict:
    return {
        "data_sha256": "d1" * 32,
        "split": "test scans of participants.tsv",
        "recipe": f'[method]\nname = "{method}"\nlearning_rate = 1e-4\n',
        "recipe_sha256": "ab" * 32,
        "model_sha256": "cd" * 32 if trained else None,
        "versions": {"numpy": "2.0", "torch": "2.6"},
        "commit_fit": "f1t" * 13,
        "commit": "c0ffee" * 7,
        "hale": "0.1.0",
        "seconds_fit": 5400.0 if trained else None,
        "seconds_scan": 0.8,
        "parameters": 2_345_678 if trained else 0,
        "steps": 20_000 if trained else None,
        "recipe_of_suite": method != "atlas",
        "finished": method != "ddpm",
        "settings_tried": 12 if trained else None,
        "learnt_from": 99 if trained else 0,
        "reference": "Somebody 2021, https://doi.org/10.1/2" if trained else "",
        "reused": trained,
    }


HOSTILE = "\"'></td></details><img src=x onerror=alert(1)><script>alert(1)</script>|*_`# {{ 1 }}"
KEPT = {"kind", "verdict", "file", "figure"}
"""Of our own making: the benchmark takes them from closed lists, not from users."""


def hostile(value, key=""):
    """Return ``value`` with markup in every text that a user, a file or a machine can name."""
    if isinstance(value, dict):
        texts = {"versions"} & {key}
        return {
            (name + HOSTILE if texts else name): hostile(item, name) for name, item in value.items()
        }
    if isinstance(value, list):
        return [hostile(item, key) for item in value]
    if isinstance(value, str) and key not in KEPT and value != "intensity":
        return value + HOSTILE
    return value
