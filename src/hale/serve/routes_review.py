"""Addresses of reviews, and of what is exported of them."""

from math import inf, isfinite
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Annotated, Any, Literal
from urllib.parse import unquote

from fastapi import APIRouter, Header, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.responses import FileResponse, Response

from hale.core.errors import Refused
from hale.serve.corrections import drawn_mask, refuse_other_grid
from hale.serve.export import FORMATS, export
from hale.serve.files import Unknown
from hale.serve.opened import Opened
from hale.serve.results import Found
from hale.serve.review import keep_mask, keep_verdicts, state_of
from hale.serve.routes_results import REPORT_POLICY
from hale.serve.station import Station

Who = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$")]
Label = Annotated[int, Field(ge=1, le=65535)]


class Said(BaseModel):
    """The body of a review."""

    model_config = ConfigDict(extra="forbid")

    who: Who
    lesions: Annotated[dict[Label, Literal["accept", "reject"] | None], Field(max_length=5000)] = {}
    comment: Annotated[str, Field(max_length=10_000)] | None = None


def router(station: Station, opened: Opened) -> APIRouter:
    """Return the addresses."""
    api = APIRouter(prefix="/api/results/{name}")

    @api.get("/review")
    def review(name: str) -> dict[str, Any]:
        return state_of(opened.found(name).folder)

    @api.put("/review")
    def say(name: str, said: Said) -> dict[str, Any]:
        folder = opened.found(name).folder
        return keep_verdicts(folder, said.who, dict(said.lesions), said.comment)

    @api.put("/mask")
    async def draw(
        name: str,
        request: Request,
        x_who: Annotated[Who, Header()],
        x_affine: Annotated[str | None, Header(max_length=1000)] = None,
        x_shape: Annotated[str | None, Header(max_length=100)] = None,
    ) -> dict[str, Any]:
        found, body = opened.found(name), await request.body()
        shape = _numbers(x_shape)
        whole = None if shape is None else [round(side) for side in shape]
        refuse_other_grid(found, _numbers(x_affine), whole)
        return await run_in_threadpool(_draw, found, body, unquote(x_who))

    @api.get("/export/{kind}")
    def exported(name: str, kind: str) -> Response:
        return _exported(opened, opened.found(name), kind, station)

    return api


def _numbers(text: str | None) -> list[float] | None:
    """Return the numbers of a header, parted by commas or spaces; None without one.

    Raises:
        Refused: It holds something else.
    """
    if text is None:
        return None
    try:
        numbers = [float(word) for word in text.replace(",", " ").split()]
    except ValueError:
        numbers = [inf]
    if not all(map(isfinite, numbers)):
        raise Refused("the mask", "comes with a grid that is no numbers", "load the result again")
    return numbers


def _draw(found: Found, body: bytes, who: str) -> dict[str, Any]:
    part, voxels = drawn_mask(found, body)
    return keep_mask(found.folder, who, part, voxels)


def _exported(opened: Opened, found: Found, kind: str, station: Station) -> Response:
    """Return one of `FORMATS`, as a file that goes when it was sent."""
    if kind not in FORMATS:
        raise Unknown(kind, "is no format", f"take one of {', '.join(FORMATS)}")
    folder = station.inside / "exports"
    folder.mkdir(parents=True, exist_ok=True)
    with NamedTemporaryFile(dir=folder, suffix=f"-{kind}", delete=False) as file:
        path = Path(file.name)
    try:
        export(found, kind, path, opened.scans(found), station.folder)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    plain = "".join(c if c.isalnum() or c in "-_" else "-" for c in str(found.detection["id"]))
    page = kind == "report.html"
    return FileResponse(
        path,
        media_type=FORMATS[kind],
        filename=f"{plain}_{kind}",
        content_disposition_type="inline" if page else "attachment",
        headers={"Content-Security-Policy": REPORT_POLICY} if page else None,
        background=BackgroundTask(path.unlink, missing_ok=True),
    )
