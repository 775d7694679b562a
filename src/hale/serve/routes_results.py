"""Addresses of results: the table, a result, its files, its lesions at a threshold."""

from pathlib import Path
from typing import Any

from fastapi import APIRouter
from starlette.responses import FileResponse, PlainTextResponse, Response

from hale.serve import threshold
from hale.serve.files import Unknown
from hale.serve.healthy import figures, p_of
from hale.serve.results import MAPS, Found, all_results, details_of, result_of, row_of, table_of
from hale.serve.review import REVIEW
from hale.serve.scans import names_of, scans_of
from hale.serve.shelf import calibration_of, offers
from hale.serve.station import Station
from hale.serve.volumes import Recent, read_result

GZIP = "application/gzip"


class Opened:
    """Results that were made ready, the last two; each at once for every threshold."""

    def __init__(self, station: Station) -> None:
        self.station = station
        self._ready: Recent[threshold.Ready] = Recent(2)

    def found(self, name: str) -> Found:
        """Return a result by its id."""
        return result_of(self.station.folder, name)

    def ready(self, found: Found) -> threshold.Ready:
        """Return its map, made ready."""
        changed = (found.folder / MAPS["anomaly"]).stat().st_mtime_ns
        calibrated = found.detection.get("calibration") is not None

        def make() -> threshold.Ready:
            return threshold.ready(read_result(found.folder), calibrated=calibrated)

        return self._ready.get((found.id, changed), make)


def router(station: Station) -> APIRouter:
    """Return the addresses."""
    api, opened = APIRouter(prefix="/api"), Opened(station)

    @api.get("/models")
    def models() -> list[dict[str, Any]]:
        return [offer.as_json() for offer in offers(station.models)]

    @api.get("/results")
    def rows() -> list[dict[str, Any]]:
        return [row_of(found) for found in all_results(station.folder)]

    @api.get("/results.tsv")
    def table() -> Response:
        text = table_of([row_of(found) for found in all_results(station.folder)])
        name = {"Content-Disposition": 'attachment; filename="results.tsv"'}
        return PlainTextResponse(text, media_type="text/tab-separated-values", headers=name)

    @api.get("/results/{name}")
    def result(name: str) -> dict[str, Any]:
        found = opened.found(name)
        details = details_of(found, names_of(scans_of(found, station.scans)))
        ready = opened.ready(found)
        details["range"] = {"min": ready.floor, "max": ready.highest}
        return details

    @api.get("/results/{name}/files/{file}")
    def file(name: str, file: str) -> FileResponse:
        return FileResponse(_file(opened.found(name), station, file), media_type=GZIP)

    @api.get("/results/{name}/threshold")
    def at(name: str, z: float) -> dict[str, Any]:
        found = opened.found(name)
        ready = opened.ready(found)
        shown = threshold.at(ready, z)
        sha256 = str(found.detection["provenance"].get("model_sha256", ""))
        calibration = calibration_of(station.models, sha256)
        for lesion in shown["lesions"]:
            lesion["p"] = p_of(calibration, shown["z"], lesion["mass"])
        lightest = shown["lesions"][-1]["mass"] if shown["lesions"] else None
        known = {"calibrated": calibration is not None}
        return shown | known | figures(calibration, shown["z"], lightest)

    return api


def _file(found: Found, station: Station, name: str) -> Path:
    """Return the path of one of the files that a result lists, and of no other."""
    scans = scans_of(found, station.scans)
    listed = {file: found.folder / file for file in MAPS.values()}
    listed["reviewed.nii.gz"] = found.folder / REVIEW / MAPS["mask"]
    listed |= {name: scans[contrast] for contrast, name in names_of(scans).items()}
    path = listed.get(name)
    if path is None or not path.is_file():
        raise Unknown(name, "this result has no such file", "load the list again")
    return path
