"""A guard over HTTP: `python -m robust serve --guard FOLDER`.

POST /v1/judge takes a picture file, or several as multipart/form-data, and gives the rows that `python -m robust score`
prints. Requests that come at the same time are judged together; results do not depend on that.
GET /health, /metrics (Prometheus) and /openapi.json.
"""

import asyncio
import contextlib
import gc
import importlib
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import torch
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Metric,
    generate_latest,
)
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from robust.guard import Guard
from robust.inputs.decode import UnusableImage
from robust.judge import Report
from robust.serving.drift import DriftWatch
from robust.serving.together import Together

MOST_BYTES = 20_000_000  # of a request
MOST_FILES = 64  # in a request
MOST_WAITING = 256  # pictures; beyond, clients are told to come back
DECODE_S = 10.0  # a picture that takes longer to read is not read
DECODERS = 2
STATES = ("collecting", "no drift", "drift")


class Refused(Exception):
    """A request that is not served: status, and a sentence."""

    def __init__(self, status: int, sentence: str):
        super().__init__(sentence)
        self.status, self.sentence = status, sentence


class Service:
    """The guard, what waits for it, and what is counted."""

    def __init__(self, guard: Guard):
        self.guard = guard
        self.together = Together(guard.inspect_prepared)
        self.decoders = ThreadPoolExecutor(DECODERS, "decode")
        self.counting = ThreadPoolExecutor(1, "count", initializer=importlib.import_module, initargs=("scipy.stats",))
        self.counting.submit(time.monotonic).result()  # the import, before the first request
        self.watch = DriftWatch(guard)
        self.waiting = 0
        self.registry = CollectorRegistry()
        self.pictures = Counter("robust_pictures", "Pictures judged", ["reliable"], registry=self.registry)
        self.refusals = Counter("robust_refusals", "Pictures that a metric refuses", ["metric"], registry=self.registry)
        self.unusable = Counter("robust_unusable", "Files that could not be read", registry=self.registry)
        self.seconds = Histogram("robust_request_seconds", "From request to answer", registry=self.registry)
        self.drift = Gauge("robust_drift", "Whether what arrives differs from the test set", ["state"], registry=self.registry)  # fmt: skip
        Gauge("robust_waiting", "Pictures that wait", registry=self.registry).set_function(lambda: self.waiting)

    async def row(self, name: str, content: bytes) -> dict:
        """The row of one picture file, as `score` has it."""
        if self.waiting >= MOST_WAITING:
            raise Refused(503, "Too many pictures wait. Try again in a second.")
        self.waiting += 1
        try:
            loop = asyncio.get_running_loop()
            reading = loop.run_in_executor(self.decoders, self.guard.prepare, content)
            try:
                prepared = await asyncio.wait_for(asyncio.shield(reading), DECODE_S)
            except TimeoutError:
                raise UnusableImage("The picture takes too long to read.") from None
            report = await self.judged(prepared.pixels)
        except UnusableImage as error:
            self.unusable.inc()
            return {"path": name, "error": str(error)}
        finally:
            self.waiting -= 1
        loop.run_in_executor(self.counting, self.count, report)
        return {"path": name} | report.as_json()

    async def judged(self, pixels: torch.Tensor) -> Report:
        try:
            return await asyncio.wrap_future(self.together.submit(pixels))
        except Exception as error:  # the owner's classifier may raise anything
            raise Refused(500, f"The classifier failed: {type(error).__name__}.") from error

    def count(self, report: Report) -> None:
        """In a thread of its own: the watch's tests take a while, now and then."""
        self.pictures.labels(str(report.reliable).lower()).inc()
        for name, verdict in report.verdicts.items():
            if not verdict.reliable:
                self.refusals.labels(name).inc()
        state = self.watch.add(report).state
        for known in STATES:
            self.drift.labels(known).set(known == state)


def http_app(guard: Guard, counted: Callable[[], Awaitable[list[Metric]]] | None = None) -> Starlette:
    """The ASGI app of a guard. `counted` gives what /metrics tells, where that is more than this app's own."""

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        app.state.service = service = Service(guard)
        app.state.counted = counted
        # Small batches gain nothing from a second thread, and the other core reads pictures. A collection among torch's
        # half a million objects would hold up whoever comes just then.
        torch.set_num_threads(1)
        cv2.setNumThreads(1)
        gc.collect()
        gc.freeze()
        yield
        while service.waiting:  # what was taken in is answered
            await asyncio.sleep(0.01)

    routes = [
        Route("/v1/judge", judge, methods=["POST"]),
        Route("/health", health),
        Route("/metrics", metrics),
        Route("/openapi.json", openapi),
    ]
    return Starlette(routes=routes, lifespan=lifespan)


async def judge(request: Request) -> Response:
    service: Service = request.app.state.service
    began = time.perf_counter()
    try:
        files = await _files(request)
        rows = await asyncio.gather(*(service.row(name, content) for name, content in files))
    except Refused as refusal:
        headers = {"Retry-After": "1"} if refusal.status == 503 else {}
        return JSONResponse({"error": refusal.sentence}, refusal.status, headers=headers)
    service.seconds.observe(time.perf_counter() - began)
    is_form = _is_form(request)
    if is_form:
        return JSONResponse({"rows": rows})
    return JSONResponse(rows[0], 422 if "error" in rows[0] else 200)


def _is_form(request: Request) -> bool:
    return request.headers.get("content-type", "").startswith("multipart/form-data")


async def _files(request: Request) -> list[tuple[str, bytes]]:
    """Names and contents. Raises Refused."""
    if int(request.headers.get("content-length") or 0) > MOST_BYTES:
        raise Refused(413, f"A request may have {MOST_BYTES // 1_000_000} MB.")
    if _is_form(request):
        async with request.form(max_files=MOST_FILES, max_fields=MOST_FILES, max_part_size=MOST_BYTES) as form:
            files = [(part.filename or "", await part.read()) for part in form.values() if hasattr(part, "read")]
        if not files:
            raise Refused(400, "The form holds no file.")
        return files
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MOST_BYTES:
            raise Refused(413, f"A request may have {MOST_BYTES // 1_000_000} MB.")
    if not body:
        raise Refused(400, "Send a picture file as the body, or several as multipart/form-data.")
    return [(request.query_params.get("path", ""), bytes(body))]


async def health(request: Request) -> Response:
    return JSONResponse({"status": "ok", "waiting": request.app.state.service.waiting, "process": os.getpid()})


async def metrics(request: Request) -> Response:
    state = request.app.state
    told = _Counted(await state.counted()) if state.counted else state.service.registry
    return Response(generate_latest(told), media_type=CONTENT_TYPE_LATEST)


@dataclass
class _Counted:
    """What generate_latest reads, in place of a registry."""

    families: list[Metric]

    def collect(self) -> list[Metric]:
        return self.families


async def openapi(request: Request) -> Response:
    guard = request.app.state.service.guard
    scores = {name: {"type": ["number", "null"]} for name in guard.metrics}
    words = {f"{name}_reliable": {"type": "boolean"} for name in guard.metrics}
    row = {
        "type": "object",
        "properties": {
            "path": {"type": "string"},
            "error": {"type": "string", "description": "Why there is no verdict; then nothing else is there."},
            "prediction": {"type": "integer"},
            "class": {"type": "string"},
            "probability": {"type": "number", "minimum": 0, "maximum": 1},
            **scores,
            **words,
            "reliable": {"type": "boolean", "description": "The word of the rule."},
        },
        "required": ["path"],
    }
    one = {"application/json": {"schema": row}}
    several = {"type": "object", "properties": {"rows": {"type": "array", "items": row}}}
    error = {"description": "A sentence", "content": {"application/json": {"schema": {"type": "object", "properties": {"error": {"type": "string"}}}}}}  # fmt: skip
    picture = {"schema": {"type": "string", "format": "binary"}}
    form = {"schema": {"type": "object", "additionalProperties": {"type": "string", "format": "binary"}}}
    post = {
        "summary": "Judge a picture, or several",
        "requestBody": {"required": True, "content": {"image/*": picture, "multipart/form-data": form}},
        "responses": {
            "200": {"description": "One row; for a form, all of them in `rows`", "content": {"application/json": {"schema": {"oneOf": [row, several]}}}},
            "422": {"description": "The file cannot be read", "content": one},
            "400": error, "413": error, "503": error,
        },
    }  # fmt: skip
    paths = {"/v1/judge": {"post": post}}
    for path, words_ in {
        "/health": "Whether it answers, and which process does",
        "/metrics": "Counters for Prometheus",
    }.items():
        paths[path] = {"get": {"summary": words_, "responses": {"200": {"description": words_}}}}
    return JSONResponse({"openapi": "3.1.0", "info": {"title": "Robust", "version": "1"}, "paths": paths})
