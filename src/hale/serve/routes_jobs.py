"""Addresses of what is brought and of jobs."""

from typing import Annotated, Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from hale.core.errors import Refused
from hale.core.scan import Contrast
from hale.serve.arrange import arrange
from hale.serve.files import Unknown
from hale.serve.jobs import Job, Queue, new_job
from hale.serve.kinds import Exam, read_exam_of
from hale.serve.picks import picks, take
from hale.serve.shelf import offer_of
from hale.serve.station import Station
from hale.serve.uploads import receive

Id = Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
"""Of what this station made: no path."""


class Asked(BaseModel):
    """The body of a new job."""

    model_config = ConfigDict(extra="forbid")

    upload: Id | None = None
    scan: Id | None = None
    exam: Annotated[str, Field(pattern=r"^[0-9]{1,6}$")] | None = None
    models: Annotated[list[str], Field(min_length=1, max_length=20)]
    contrast: Contrast | None = None
    series: dict[Contrast, Annotated[str, Field(max_length=200)]] | None = None
    insist: bool = False


def router(station: Station, queue: Queue) -> APIRouter:
    """Return the addresses."""
    api = APIRouter(prefix="/api")

    @api.get("/scans")
    def scans() -> list[dict[str, Any]]:
        return [pick.as_json(station) for pick in picks(station.scans)]

    @api.post("/uploads")
    async def upload(request: Request) -> dict[str, Any]:
        kind = request.headers.get("content-type", "")
        folder, arrived = await receive(kind, request.stream(), station)
        exams: list[Exam] = await run_in_threadpool(arrange, folder, arrived, station)
        return {"id": folder.name, "exams": [exam.as_json() for exam in exams]}

    @api.get("/jobs")
    def jobs() -> list[dict[str, Any]]:
        return queue.rows()

    @api.post("/jobs")
    def add(asked: Asked) -> dict[str, Any]:
        return queue.row(queue.add(_job(asked, station)))

    @api.delete("/jobs/{name}")
    def cancel(name: str) -> dict[str, Any]:
        queue.cancel(name)
        return {"cancelled": name}

    return api


def _job(asked: Asked, station: Station) -> Job:
    """Return the job that is asked for.

    Raises:
        Refused: Its scan or a model is not here, or must not be used.
    """
    if (asked.upload is None) == (asked.scan is None):
        raise Refused("upload and scan", "give one of them", "bring or pick a scan")
    for name in asked.models:
        offer = offer_of(station.models, name)
        if offer.refused:
            raise Refused(offer.name, offer.refused, "choose another")
    folder = station.uploads / asked.upload if asked.upload else take(station, asked.scan or "")
    if not folder.is_dir():
        raise Unknown(folder.name, "there is no such upload", "bring the scan again")
    exam = read_exam_of(folder, asked.exam)
    if not exam.contrasts and asked.contrast is None and not asked.series:
        raise Refused(exam.name, "nothing says its contrast", "choose its contrast")
    series = {str(c): text for c, text in (asked.series or {}).items()}
    return new_job(
        name=exam.name,
        upload=folder.name,
        exam=exam.id,
        models=tuple(dict.fromkeys(asked.models)),
        contrast=None if asked.contrast is None else str(asked.contrast),
        series=series or None,
        insist=asked.insist,
    )
