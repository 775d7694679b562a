"""Who may ask the station: one browser on this machine, that was given the token.

The server listens on 127.0.0.1, which every page that the browser shows can reach. So each request
is looked at before anything else sees it:

- ``Host`` must be ours: a name of another site that was pointed at 127.0.0.1 (DNS rebinding) is
  refused.
- ``Origin`` and ``Sec-Fetch-Site``, where the browser says them, must be ours: no other page asks.
- A cookie of this start of the server; it is given in exchange for the token of the address that
  was printed, which is taken out of the address at once. It is ``SameSite=Strict``, and no script
  can read it.

Every answer carries a content-security policy that names no outside origin.
"""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:;"
    " font-src 'self'; connect-src 'self'; worker-src 'self' blob:; manifest-src 'self';"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Of the pages. Nothing from outside, nothing inline."""
ANSWERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
}
"""Headers of every answer that does not set its own."""
FOREIGN = ("cross-site", "same-site")
"""What ``Sec-Fetch-Site`` says of a request by another page; another port is of the same site."""
API = "/api/"
MIB = 2**20
BODY = MIB
"""Bytes of a request's body, where no more is expected."""
TOO_LARGE = "more is sent than is taken here; the limit of uploads is --max-upload"


@dataclass(frozen=True, kw_only=True)
class Keys:
    """What opens the station; made anew at each start."""

    port: int
    token: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    session: str = field(default_factory=lambda: secrets.token_urlsafe(32))

    @property
    def cookie(self) -> str:
        """Return the cookie's name: browsers keep one for all ports of a host."""
        return f"hale-{self.port}"

    @property
    def hosts(self) -> tuple[str, ...]:
        """Return what ``Host`` may say."""
        return f"127.0.0.1:{self.port}", f"localhost:{self.port}"

    @property
    def address(self) -> str:
        """Return the address to open."""
        return f"http://127.0.0.1:{self.port}/?token={self.token}"


@dataclass(frozen=True, kw_only=True)
class Guard:
    """Stands before the application, and lets in whom `Keys` open to."""

    app: ASGIApp
    keys: Keys
    bodies: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """Method and end of the path -> bytes of a body, where `BODY` is too little."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or hand on."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        refusal = self._refusal(scope)
        if refusal is not None:
            await refusal(scope, receive, _with_headers(send))
            return
        limit = self._limit(scope)
        await self.app(scope, _bounded(receive, limit), _with_headers(send))

    def _refusal(self, scope: Scope) -> Response | None:
        """Return the answer to who is not let in, None for who is."""
        headers = Headers(scope=scope)
        hosts = headers.getlist("host")
        if len(hosts) != 1 or hosts[0].lower() not in self.keys.hosts:
            return _said(scope, 421, "another host is meant: open the address that was printed")
        if not self._is_own_page(headers, hosts[0].lower()):
            return _said(scope, 403, "another site asks for this: open the station itself")
        query = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        if "token" in query:
            return self._exchange(scope, query["token"])
        if not self._has_cookie(headers):
            return _said(scope, 401, "not open here: open the address that `hale serve` printed")
        length = headers.get("content-length", "0")
        if not length.isdigit() or int(length) > self._limit(scope):
            return _said(scope, 413, TOO_LARGE)
        return None

    def _is_own_page(self, headers: Headers, host: str) -> bool:
        """Say whether no other page asks, as far as the browser tells."""
        origins = headers.getlist("origin")
        if origins and origins != [f"http://{host}"]:
            return False
        navigates = headers.get("sec-fetch-mode") == "navigate"
        return headers.get("sec-fetch-site") not in FOREIGN or navigates

    def _exchange(self, scope: Scope, tokens: Sequence[str]) -> Response:
        """Return the way to the same page without token, and the cookie; or a refusal."""
        right = len(tokens) == 1 and secrets.compare_digest(
            tokens[0].encode(), self.keys.token.encode()
        )
        if not right or scope["path"] != "/" or scope["method"] != "GET":
            return _said(scope, 403, "the token is wrong: open the address that was printed last")
        answer = RedirectResponse("/", status_code=303)
        answer.set_cookie(
            self.keys.cookie, self.keys.session, httponly=True, samesite="strict", path="/"
        )
        return answer

    def _has_cookie(self, headers: Headers) -> bool:
        """Say whether our cookie is there, once."""
        pairs = (
            part.strip().partition("=")
            for line in headers.getlist("cookie")
            for part in line.split(";")
        )
        ours = [value for name, _, value in pairs if name == self.keys.cookie]
        return len(ours) == 1 and secrets.compare_digest(
            ours[0].encode(), self.keys.session.encode()
        )

    def _limit(self, scope: Scope) -> int:
        """Return how many bytes a request's body may have."""
        for (method, end), limit in self.bodies.items():
            if scope["method"] == method and scope["path"].endswith(end):
                return limit
        return BODY


def _bounded(receive: Receive, limit: int) -> Receive:
    """Return ``receive`` that stops a body beyond ``limit`` bytes, whatever its header said."""
    seen = 0

    async def counted() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > limit:
            raise HTTPException(413, TOO_LARGE)
        return message

    return counted


def _with_headers(send: Send) -> Send:
    """Return ``send`` that adds `ANSWERS`."""

    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in ANSWERS.items():
                headers.setdefault(name, value)
        await send(message)

    return sent


def _said(scope: Scope, status: int, why: str) -> Response:
    """Return a refusal: JSON to a script, text to a person."""
    if scope["path"].startswith(API):
        return JSONResponse({"error": why}, status_code=status)
    return PlainTextResponse(f"hale: {why}\n", status_code=status)
