"""The station's application: what is asked for under which address."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.resources import files
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from hale.core.errors import Refused
from hale.serve import routes_bench, routes_jobs, routes_results, routes_review
from hale.serve.files import Unknown
from hale.serve.jobs import Queue
from hale.serve.opened import Opened
from hale.serve.security import API, MIB, Guard, Keys
from hale.serve.station import Station

PAGES = Path(str(files("hale.serve"))) / "viewer"
"""Page, scripts and styles; all of them come with the package."""
MASK_BYTES = 256 * MIB
"""Of a drawn mask, compressed."""


class Pages(StaticFiles):
    """The viewer's files; a browser asks each time whether one has changed."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Return a file, with the type that browsers insist on."""
        answer = await super().get_response(path, scope)
        answer.headers["Cache-Control"] = "no-cache"
        if path.endswith((".js", ".mjs")):
            answer.headers["Content-Type"] = "text/javascript; charset=utf-8"
        return answer


def application(station: Station, keys: Keys) -> Guard:
    """Return the application behind its guard."""
    queue = Queue(station)

    @asynccontextmanager
    async def running(_: FastAPI) -> AsyncIterator[None]:
        queue.start()
        yield
        queue.stop()

    app = FastAPI(title="hale", docs_url=None, redoc_url=None, openapi_url=None, lifespan=running)
    opened = Opened(station)
    for routes in (
        routes_results.router(station, opened),
        routes_results.router_of_one(station, opened),
        routes_results.router_of_two(station, opened),
        routes_review.router(station, opened),
        routes_jobs.router(station, queue),
        routes_bench.router(station),
    ):
        app.include_router(routes)
    app.mount("/", Pages(directory=PAGES, html=True, check_dir=False))
    app.add_exception_handler(Refused, _refused)
    app.add_exception_handler(HTTPException, _failed)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(Exception, _defect)
    bodies = {("POST", "/api/uploads"): station.max_upload, ("PUT", "/mask"): MASK_BYTES}
    return Guard(app=app, keys=keys, bodies=bodies)


async def _refused(_: Request, error: Exception) -> Response:
    status = 404 if isinstance(error, Unknown) else 400
    return JSONResponse({"error": str(error)}, status_code=status)


async def _failed(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    why = str(error.detail) if isinstance(error, HTTPException) else "failed"
    if request.url.path.startswith(API):
        return JSONResponse({"error": why}, status_code=status)
    return PlainTextResponse(f"hale: {why}\n", status_code=status)


async def _invalid(_: Request, error: Exception) -> Response:
    told = error.errors()[0] if isinstance(error, RequestValidationError) else {}
    where = ".".join(str(part) for part in told.get("loc", ())[1:])
    return JSONResponse({"error": f"{where}: {told.get('msg', 'is wrong')}"}, status_code=422)


async def _defect(_: Request, error: Exception) -> Response:
    why = f"{type(error).__name__}: this is our fault; the terminal of `hale serve` shows more"
    return JSONResponse({"error": why}, status_code=500)
