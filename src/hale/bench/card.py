"""The result card: everything that a row of the table came from, as plain JSON."""

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w

from hale import __version__
from hale.bench.measured import Measured
from hale.bench.models import differing
from hale.bench.over_runs import mean_of
from hale.bench.plan import Job
from hale.bench.suite import Cohort
from hale.data.cohort import Entry
from hale.io.cache import key_of
from hale.io.model import is_model, read_model
from hale.io.nifti import file_hash
from hale.pipeline.versions import versions
from hale.recipe import FOLDERS, build_recipe


def data_hash(cases: Sequence[Entry]) -> str:
    """Return the hash of a cohort: ids, scans and reference masks."""
    told = [
        [case.id, case.sha256, "" if case.lesion is None else file_hash(case.lesion)]
        for case in sorted(cases, key=lambda case: case.id)
    ]
    return key_of(told)


def card_of(
    jobs: Sequence[Job], cohort: Cohort, cases: Sequence[Entry], measured: Sequence[Measured]
) -> dict[str, Any]:
    """Return the card of a method on a cohort.

    Args:
        jobs: Its runs over seeds and folds; recipe and model are those of the first.
        cohort: Which.
        cases: Of it.
        measured: Those that have a map: by which commit, and in what time, preparation included.
    """
    first = jobs[0]
    files = [
        read_model(job.model)[0] for job in jobs if job.model is not None and is_model(job.model)
    ]
    told: Mapping[str, Any] = files[0].provenance if files else {}
    text = files[0].recipe if files else _recipe_text(first)
    fits = [file.provenance.get("fit", {}) for file in files]
    hashes = [read_model(job.model)[1] for job in jobs if job.model and is_model(job.model)]
    return {
        "data_sha256": data_hash(cases),
        "split": f"{cohort.split}, subjects {cohort.subjects}",
        "recipe": _shown(text),
        "recipe_sha256": key_of(tomllib.loads(_shown(text))) if text else "",
        "recipe_of_suite": not files or _is_as_asked(first, text),
        "model_sha256": ", ".join(hashes),
        "versions": told.get("versions", versions()["versions"]),
        "hale": told.get("hale", __version__),
        "commit_fit": told.get("commit"),
        "commit": ", ".join(sorted({one.commit for one in measured if one.commit})),
        "seconds_fit": _mean([fit.get("seconds") for fit in fits]),
        "seconds_scan": mean_of([one.seconds for one in measured]),
        "parameters": _parameters(files[0].state) if files else 0,
        "steps": fits[0].get("steps_done") if fits else None,
        "finished": fits[0].get("finished", True) if fits else True,
        "settings_tried": first.entrant.settings_tried,
        "learnt_from": len(fits[0].get("scans", ())) if fits else 0,
        "reference": first.entrant.reference if first.recipe is None else first.recipe.reference,
        "reused": first.reused,
    }


def _recipe_text(job: Job) -> str:
    return "" if job.recipe is None else tomli_w.dumps(job.recipe.resolved())


def _is_as_asked(job: Job, text: str) -> bool:
    """Say whether a model was fitted by the recipe that the suite names, folders apart."""
    return job.recipe is None or not differing(build_recipe(tomllib.loads(text)), job.recipe)


def _shown(text: str) -> str:
    """Return a recipe without where on somebody's disk it found what it builds on."""
    table = tomllib.loads(text)
    return tomli_w.dumps(table | {key: Path(table[key]).name for key in FOLDERS if key in table})


def _parameters(state: Mapping[str, np.ndarray]) -> int:
    """Return how many numbers a model was saved with."""
    return sum(array.size for array in state.values())


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
