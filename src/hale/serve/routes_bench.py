"""Addresses of benchmarks."""

import hashlib
from pathlib import Path
from typing import Any

from fastapi import APIRouter
from starlette.responses import FileResponse, Response

from hale.serve.benchmarks import (
    Benchmark,
    Case,
    benchmark_of,
    benchmarks,
    board_of,
    case_of,
    outcome_of,
    runs_of,
    write_outcome,
)
from hale.serve.files import Unknown
from hale.serve.station import Station


def router(station: Station) -> APIRouter:
    """Return the addresses."""
    api = APIRouter(prefix="/api/benchmarks")

    @api.get("")
    def all_of_them() -> list[dict[str, Any]]:
        return [_row(one) for one in benchmarks(station.folder)]

    @api.get("/{name}")
    def board(name: str) -> dict[str, Any]:
        one = benchmark_of(station.folder, name)
        return {**board_of(one), "runs": runs_of(one)}

    @api.get("/{name}/case")
    def case(name: str, run: str, cohort: str, case: str) -> dict[str, Any]:
        one = benchmark_of(station.folder, name)
        found = case_of(one, run, cohort, case, station.scans)
        files = {key: file for key, (file, _) in _files(found).items()}
        told = {"id": case, "run": run, "cohort": cohort, **outcome_of(found).as_json()}
        return {**told, "files": {**files, "outcome": "outcome.nii.gz"}}

    @api.get("/{name}/case/{file}")
    def file(name: str, file: str, run: str, cohort: str, case: str) -> Response:
        one = benchmark_of(station.folder, name)
        found = case_of(one, run, cohort, case, station.scans)
        if file == "outcome.nii.gz":
            return FileResponse(_outcome(station, one, found), media_type="application/gzip")
        for called, path in _files(found).values():
            if called == file:
                return FileResponse(path, media_type="application/gzip")
        raise Unknown(file, "the case has no such file", "load the list again")

    return api


def _row(one: Benchmark) -> dict[str, Any]:
    suite = board_of(one).get("suite") or {}
    return {"id": one.id, "title": suite.get("title") or one.path, "path": one.path}


def _files(case: Case) -> dict[str, tuple[str, Path]]:
    """Return the name and the path of each file of a case that is there."""
    paths = {"scan": case.entry.path, "anomaly": case.maps.anomaly, "mask": case.maps.mask}
    suffixes = {key: ".nii.gz" if str(p).endswith(".gz") else ".nii" for key, p in paths.items()}
    return {key: (f"{key}{suffixes[key]}", path) for key, path in paths.items() if path is not None}


def _outcome(station: Station, one: Benchmark, case: Case) -> Path:
    """Return the outcome's file, written the first time."""
    parts = [p for p in (case.maps.anomaly, case.maps.mask, case.entry.lesion) if p is not None]
    key = f"{one.id} {[(str(p), p.stat().st_mtime_ns) for p in parts]}"
    name = hashlib.sha256(key.encode()).hexdigest()[:24]
    path = station.inside / "compare" / f"outcome-{name}.nii.gz"
    if not path.is_file():
        write_outcome(outcome_of(case), path)
    return path
