"""The figures of one case, and how they are kept beside a hash of the files that they are of."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from pydantic import TypeAdapter

from hale.bench.tally import Tally
from hale.metrics import froc
from hale.metrics.evaluation import Row

ROW = TypeAdapter(Row)


@dataclass(frozen=True, kw_only=True, eq=False)
class Measured:
    """Figures of one case, and the counts that figures of many are made of."""

    row: Row
    spot: tuple[float, float] | None
    """Volume (ml) and contrast (SD) of what was planted."""
    own: Mapping[str, float]
    """Figures of the method's own score, where a standardised map stands beside it."""
    rebuilt: Mapping[str, float]
    """How a healthy scan was rebuilt, where a pseudo-healthy picture stands beside the map."""
    tallies: Mapping[str, Tally]
    """Voxels of the region by score: of the map, and of the own score."""
    profile: froc.Profile
    """Findings of the map at every threshold."""
    seconds: float
    """That its map took, NaN if nobody says."""
    commit: str | None
    """Of `hale` when its map was made; None if nobody says."""


def keep(place: Path, key: str, made: Measured) -> None:
    """Write figures and counts; the key last, so that what is cut short counts as absent."""
    place.mkdir(parents=True, exist_ok=True)
    told = place / "figures.json"
    told.unlink(missing_ok=True)
    arrays = {f"profile.{name}": value for name, value in vars(made.profile).items()}
    for name, counts in made.tallies.items():
        arrays |= {f"{name}.{part}": value for part, value in vars(counts).items()}
    np.savez_compressed(place / "counts.npz", **arrays)
    row = asdict(made.row)
    table = {
        "key": key,
        "row": row,
        "spot": made.spot,
        "own": dict(made.own),
        "rebuilt": dict(made.rebuilt),
        "seconds": made.seconds,
        "commit": made.commit,
    }
    told.write_text(json.dumps(table) + "\n", encoding="utf-8")


def kept(place: Path, key: str) -> Measured | None:
    """Return what was measured of the same files; None if there is no such thing."""
    try:
        table = json.loads((place / "figures.json").read_text(encoding="utf-8"))
        if table["key"] != key:
            return None
        with np.load(place / "counts.npz") as arrays:
            parts: dict[str, dict[str, np.ndarray]] = {}
            for name in arrays.files:
                kind, part = name.split(".")
                parts.setdefault(kind, {})[part] = arrays[name]
    except (OSError, ValueError, KeyError):
        return None
    profile = parts.pop("profile")
    return Measured(
        row=ROW.validate_python(table["row"]),
        spot=None if table["spot"] is None else tuple(table["spot"]),
        own=table["own"],
        rebuilt=table["rebuilt"],
        tallies={name: Tally(**part) for name, part in parts.items()},
        profile=froc.Profile(
            threshold=profile["threshold"],
            false=profile["false"],
            lesions=profile["lesions"],
            volumes_ml=profile["volumes_ml"],
            floor=float(profile["floor"]),
        ),
        seconds=table["seconds"],
        commit=table["commit"],
    )
