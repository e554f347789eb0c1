"""Hosted mode, ROBUST_HOSTED=1: what a server that anybody may visit does besides.

Security headers, a limit on visitors with a queue before the door, a limit on pictures for each visitor, no metrics for
strangers, logs as JSON lines. ROBUST_VISITORS and ROBUST_PICTURES_A_MINUTE change the limits.
"""

import html
import json
import logging
import os
import secrets
import time
from collections import OrderedDict
from http.cookies import SimpleCookie

VISITORS = 100  # as many as two cores serve within a second; `benchmark visitors` measures it
PICTURES = 30
PLACE_KEPT_S = 30.0  # of somebody in the queue who does not ask again
ASK_AGAIN_S = 5
COOKIE = "robust_place"
STREAM, CLOSED = "/_stcore/stream", ("/_stcore/metrics",)
# Streamlit's frontend and its components bring their scripts inline and as blobs; nothing comes from elsewhere.
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self' ws: wss: blob: data:; media-src 'self' blob:; "
    "worker-src 'self' blob:; object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-frame-options": "DENY",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "permissions-policy": "camera=(self), microphone=(), geolocation=()",
}
WAITING = """<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta http-equiv="refresh" content="{seconds}"><title>Robust</title>
<body style="font: 1.3rem/1.5 sans-serif; max-width: 32rem; margin: 20vh auto; padding: 0 1rem; color-scheme: light dark">
<h1>One moment</h1><p>{visitors} people are trying Robust just now. You are number <b>{place}</b> in the queue; this page
opens by itself.</p></body></html>"""


def is_hosted() -> bool:
    return os.environ.get("ROBUST_HOSTED", "") not in ("", "0")


def pictures_a_minute() -> int | None:
    """How many pictures of their own a visitor may have judged in a minute; None for any number."""
    return int(os.environ.get("ROBUST_PICTURES_A_MINUTE", PICTURES)) if is_hosted() else None


def middleware() -> list:
    """Of the app; nothing outside hosted mode."""
    if not is_hosted():
        return []
    from starlette.middleware import Middleware

    log_as_json()
    return [Middleware(Door, visitors=int(os.environ.get("ROBUST_VISITORS", VISITORS)))]


class Door:
    """ASGI middleware: headers for every answer, and no more visitors than the limit."""

    def __init__(self, app, visitors: int):
        self.app, self.most = app, visitors
        self.inside = 0
        self.queue: OrderedDict[str, float] = OrderedDict()  # a place's token -> when it last asked

    async def __call__(self, scope, receive, send) -> None:
        if scope["type"] == "websocket" and scope["path"].endswith(STREAM):
            return await self.visit(scope, receive, send)
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        if any(scope["path"].endswith(path) for path in CLOSED):
            return await self.answer(send, 404, "Not found.", {})
        is_page = scope["method"] == "GET" and b"text/html" in dict(scope["headers"]).get(b"accept", b"")
        if is_page and not scope["path"].startswith("/room/") and (place := self.place_of(scope)):
            return await self.turn_away(send, *place)
        await self.app(scope, receive, self.with_headers(send))

    async def visit(self, scope, receive, send) -> None:
        """One visitor, for as long as the page is open."""
        if self.inside >= self.most:
            await receive()
            await send({"type": "websocket.close", "code": 1013})  # try again later
            return
        self.inside += 1
        try:
            await self.app(scope, receive, send)
        finally:
            self.inside -= 1

    def place_of(self, scope, now: float | None = None) -> tuple[int, str] | None:
        """A visitor's place in the queue, from 1, and the token that keeps it; None for those who may come in."""
        now = time.monotonic() if now is None else now
        for token in [token for token, asked in self.queue.items() if asked < now - PLACE_KEPT_S]:
            del self.queue[token]
        cookie = SimpleCookie(dict(scope["headers"]).get(b"cookie", b"").decode("latin-1")).get(COOKIE)
        token = cookie.value if cookie and cookie.value in self.queue else None
        before = list(self.queue).index(token) if token else len(self.queue)
        if self.inside + before < self.most:
            self.queue.pop(token, None)
            return None
        token = token or secrets.token_urlsafe(12)
        self.queue[token] = now
        return before + 1, token

    async def turn_away(self, send, place: int, token: str) -> None:
        page = WAITING.format(seconds=ASK_AGAIN_S, visitors=self.inside, place=html.escape(str(place)))
        cookie = f"{COOKIE}={token}; Path=/; Max-Age={int(PLACE_KEPT_S)}; HttpOnly; SameSite=Strict"
        await self.answer(send, 503, page, {"set-cookie": cookie, "retry-after": str(ASK_AGAIN_S)}, "text/html")

    async def answer(self, send, status: int, text: str, headers: dict, kind: str = "text/plain") -> None:
        headers = HEADERS | headers | {"content-type": f"{kind}; charset=utf-8", "cache-control": "no-store"}
        rows = [(name.encode(), value.encode()) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": status, "headers": rows})
        await send({"type": "http.response.body", "body": text.encode()})

    def with_headers(self, send):
        async def sending(message) -> None:
            if message["type"] == "http.response.start":
                known = {name.lower() for name, _ in message["headers"]}
                more = [
                    (name.encode(), value.encode()) for name, value in HEADERS.items() if name.encode() not in known
                ]
                message = message | {"headers": [*message["headers"], *more]}
            await send(message)

        return sending


class _AsJson(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        row = {"time": self.formatTime(record), "level": record.levelname, "logger": record.name}
        row["message"] = record.getMessage()
        if record.exc_info:
            row["error"] = self.formatException(record.exc_info)
        return json.dumps(row)


def log_as_json() -> None:
    """One JSON object a line, on stderr; pictures are never logged."""
    handler = logging.StreamHandler()
    handler.setFormatter(_AsJson())
    logging.basicConfig(handlers=[handler], level=logging.INFO, force=True)
    streamlit = logging.getLogger("streamlit")
    streamlit.handlers, streamlit.propagate = [handler], False
