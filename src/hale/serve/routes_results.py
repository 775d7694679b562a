"""Addresses of results: the table, a result, its files, its lesions at a threshold, and why."""

from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import Field
from starlette.responses import FileResponse, PlainTextResponse, Response

from hale.serve import threshold
from hale.serve.compare import agreement, sides, write_disagreement
from hale.serve.files import Unknown
from hale.serve.healthy import figures, p_values
from hale.serve.opened import Opened
from hale.serve.results import MAPS, Found, all_results, details_of, row_of, table_of
from hale.serve.review import REVIEW
from hale.serve.scans import names_of
from hale.serve.shelf import offers
from hale.serve.station import Station
from hale.serve.thumbnail import thumbnail
from hale.serve.why import why

GZIP = "application/gzip"
Finite = Annotated[float, Field(allow_inf_nan=False)]
REPORT_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox allow-modals;"
    " frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
"""Of reports: pictures and styles are within the file, and nothing runs."""


def router(station: Station, opened: Opened) -> APIRouter:
    """Return the addresses."""
    api = APIRouter(prefix="/api")

    @api.get("/models")
    def models() -> list[dict[str, Any]]:
        return [offer.as_json() for offer in offers(station.models)]

    @api.get("/results")
    def rows() -> list[dict[str, Any]]:
        return [row_of(found) for found in all_results(station.folder)]

    @api.get("/results.tsv")
    def table() -> Response:
        return _table(station)

    @api.get("/results/{name}")
    def result(name: str) -> dict[str, Any]:
        found = opened.found(name)
        return details_of(found, names_of(opened.scans(found)))

    return api


def router_of_one(station: Station, opened: Opened) -> APIRouter:
    """Return the addresses of what is in a result."""
    api = APIRouter(prefix="/api/results/{name}")

    @api.get("/files/{file}")
    def file(name: str, file: str) -> Response:
        return FileResponse(_file(opened, opened.found(name), file), media_type=GZIP)

    @api.get("/thumbnail.png")
    def picture(name: str) -> Response:
        found = opened.found(name)
        path = thumbnail(found, opened.scans(found), station.thumbnails)
        return FileResponse(path, media_type="image/png")

    @api.get("/report.html")
    def report(name: str) -> Response:
        path = opened.found(name).folder / "report.html"
        if not path.is_file():
            raise Unknown(name, "this result has no report yet", "wait until its job has ended")
        return FileResponse(
            path, media_type="text/html", headers={"Content-Security-Policy": REPORT_POLICY}
        )

    @api.get("/range")
    def span(name: str) -> dict[str, float]:
        ready = opened.ready(opened.found(name))
        return {"min": ready.floor, "max": ready.highest}

    @api.get("/threshold")
    def at(name: str, z: Finite) -> dict[str, Any]:
        return _at(opened, opened.found(name), z)

    @api.get("/why")
    def reasons(name: str, x: Finite, y: Finite, z: Finite) -> dict[str, Any]:
        found = opened.found(name)
        standard, scans = opened.standard(found), opened.scans(found)
        return why(found, opened.result(found), standard, scans, (x, y, z))

    return api


def router_of_two(station: Station, opened: Opened) -> APIRouter:
    """Return the addresses of comparisons."""
    api = APIRouter(prefix="/api/compare")

    @api.get("")
    def table(a: str, b: str) -> dict[str, Any]:
        one, other, _ = sides(*((f, opened.result(f)) for f in map(opened.found, (a, b))))
        return {"a": a, "b": b, **agreement(one, other)}

    @api.get("/disagreement.nii.gz")
    def disagreement(a: str, b: str) -> Response:
        first, second = opened.found(a), opened.found(b)
        changed = [(f.folder / MAPS["anomaly"]).stat().st_mtime_ns for f in (first, second)]
        name = f"{first.id}-{second.id}-{changed[0]}-{changed[1]}.nii.gz"
        path = station.inside / "compare" / name
        if not path.is_file():
            pairs = ((f, opened.result(f)) for f in (first, second))
            write_disagreement(*sides(*pairs), path)
        return FileResponse(path, media_type=GZIP)

    return api


def _table(station: Station) -> Response:
    text = table_of([row_of(found) for found in all_results(station.folder)])
    name = {"Content-Disposition": 'attachment; filename="results.tsv"'}
    return PlainTextResponse(text, media_type="text/tab-separated-values", headers=name)


def _at(opened: Opened, found: Found, z: float) -> dict[str, Any]:
    """Return the lesions at a threshold, and what it means among healthy scans."""
    shown = threshold.at(opened.ready(found), z)
    calibration = opened.calibration(found)
    masses = [lesion["mass"] for lesion in shown["lesions"]]
    ps = p_values(calibration, shown["z"], masses)
    for lesion, p in zip(shown["lesions"], ps, strict=True):
        lesion["p"] = p
    lightest = masses[-1] if masses else None
    known = {"calibrated": calibration is not None}
    return {**shown, **known, **figures(calibration, shown["z"], lightest)}


def _file(opened: Opened, found: Found, name: str) -> Path:
    """Return the path of one of the files that a result lists, and of no other."""
    scans = opened.scans(found)
    listed = {file: found.folder / file for file in MAPS.values()}
    listed["reviewed.nii.gz"] = found.folder / REVIEW / MAPS["mask"]
    listed |= {name: scans[contrast] for contrast, name in names_of(scans).items()}
    path = listed.get(name)
    if path is None or not path.is_file():
        raise Unknown(name, "this result has no such file", "load the list again")
    return path
