"""The room over HTTP: the phones' page, their drawings and verdicts, and what the speaker's wall asks for.

Served beside the app by the same process. Nothing that a phone sends is trusted: sizes, speed and shape are checked before
anything is kept, and all text goes out as JSON that the pages show as text.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from robust.room.drawing import UnusableStrokes, checked
from robust.room.limits import BODY, WAITING
from robust.room.store import HELD, HIDDEN, NICKNAME, SHOWN, NoSuchRoom

if TYPE_CHECKING:  # it brings torch, and the app starts without
    from robust.guard import Guard
    from robust.room.service import Rooms

PHONE = Path(__file__).with_name("phone.html")
OVERLAP_S = 3.0  # changes are told once more for so long: two processes' clocks and commits do not agree to the moment
STATES = {"show": SHOWN, "hold": HELD, "hide": HIDDEN}


class Refused(Exception):
    """A request that is not served: status and a sentence."""

    def __init__(self, status: int, sentence: str):
        super().__init__(sentence)
        self.status, self.sentence = status, sentence


def room_routes(rooms: Callable[[], "Rooms"]) -> list[Route]:
    """The routes. `rooms` is called at the first request, so that an app without a room loads nothing for it."""

    def endpoint(handler):
        async def answer(request: Request) -> Response:
            try:
                return await handler(rooms(), request)
            except Refused as refusal:
                return JSONResponse({"error": refusal.sentence}, refusal.status)
            except NoSuchRoom:
                return JSONResponse({"error": "There is no such room. Ask for the code again."}, 404)

        return answer

    return [
        Route("/room/{code}", endpoint(phone_page)),
        Route("/room/{code}/state", endpoint(state)),
        Route("/room/{code}/drawings", endpoint(take_drawing), methods=["POST"]),
        Route("/room/{code}/drawings/{number:int}", endpoint(tell_verdict)),
        Route("/room/{code}/drawings/{number:int}/vote", endpoint(vote), methods=["POST"]),
        Route("/room/{code}/ballot", endpoint(ballot)),
        Route("/room/{code}/wall", endpoint(wall)),
        Route("/room/{code}/host", endpoint(host), methods=["POST"]),
        Route("/room/{code}/export", endpoint(export)),
    ]


# --- Phones --------------------------------------------------------------------------------------------------------


async def phone_page(rooms: "Rooms", request: Request) -> Response:
    await run_in_threadpool(rooms.store.room, _code(request))
    return HTMLResponse(PHONE.read_text(encoding="utf-8"), headers={"Cache-Control": "no-store"})


async def state(rooms: "Rooms", request: Request) -> Response:
    room = await run_in_threadpool(rooms.store.room, _code(request))
    subject = (await _guard(rooms)).contents.subject
    return JSONResponse({"closed": room["closed"], "noun": subject.noun, "classes": list(subject.classes)})


async def take_drawing(rooms: "Rooms", request: Request) -> Response:
    code, sent = _code(request), await _json(request)
    sender, key = _token(sent.get("sender")), _token(sent.get("key"))
    nickname, claim = sent.get("nickname", ""), sent.get("claim")
    if not isinstance(nickname, str):
        raise Refused(400, "That is no drawing.")
    classes = (await _guard(rooms)).contents.subject.classes
    if claim is not None and not (type(claim) is int and 0 <= claim < len(classes)):
        raise Refused(400, "Say what it is.")
    try:
        strokes = checked(sent.get("strokes"))
    except UnusableStrokes as error:
        raise Refused(400, str(error)) from None
    if not rooms.senders.allows(f"{code} {sender}"):
        raise Refused(429, "Slowly: one drawing every three seconds.")
    if not rooms.rooms.allows(code):
        raise Refused(429, "The room draws faster than it can be judged. Try again in a moment.")
    room = await run_in_threadpool(rooms.store.room, code)
    if room["closed"] or await run_in_threadpool(rooms.store.is_muted, code, sender):
        raise Refused(403, "This room takes no more drawings.")
    if await run_in_threadpool(rooms.store.queue_length, 2**31 - 1) >= WAITING:
        raise Refused(503, "Too many drawings wait. Try again in a moment.")
    name = " ".join(nickname.split())[:NICKNAME]
    number = await run_in_threadpool(rooms.store.add, code, sender, key, name, claim, strokes)
    rooms.worker.wake.set()
    return JSONResponse({"number": number}, 202)


async def tell_verdict(rooms: "Rooms", request: Request) -> Response:
    """The verdict as soon as there is one; after a second the drawing's place in the queue."""
    code, number = _code(request), request.path_params["number"]
    sender = _token(request.query_params.get("sender"))
    await _guard(rooms)
    row = await _own(rooms, code, number, sender)
    if _waits(row):
        await rooms.wait_for(number, 1.0)
        row = await _own(rooms, code, number, sender)
    if _waits(row):
        return JSONResponse({"place": await run_in_threadpool(rooms.store.queue_length, number)})
    if row["reason"]:
        return JSONResponse({"unusable": row["reason"]})
    return JSONResponse(await run_in_threadpool(rooms.verdict, row))


async def ballot(rooms: "Rooms", request: Request) -> Response:
    """A drawing that the room is asked about: accepted, though its sender says that it shows none of the classes."""
    sender = _token(request.query_params.get("sender"))
    await _guard(rooms)
    rows = await run_in_threadpool(rooms.store.ballot, _code(request), sender)
    for row in rows:
        if not (await run_in_threadpool(rooms.verdict, row))["refused"]:
            return JSONResponse({"number": row["id"], "strokes": json.loads(row["strokes"])})
    return JSONResponse({})


async def vote(rooms: "Rooms", request: Request) -> Response:
    code, sent = _code(request), await _json(request)
    sender = _token(sent.get("sender"))
    if not isinstance(sent.get("is_digit"), bool):
        raise Refused(400, "Say what it is.")
    if not rooms.senders.allows(f"{code} {sender} vote"):
        raise Refused(429, "Slowly.")
    row = await run_in_threadpool(rooms.store.drawing, code, request.path_params["number"])
    if row is None or row["state"] != SHOWN:
        raise Refused(404, "There is no such drawing.")
    await run_in_threadpool(rooms.store.vote, code, row["id"], sent["is_digit"])
    return JSONResponse({})


# --- The speaker ---------------------------------------------------------------------------------------------------


async def wall(rooms: "Rooms", request: Request) -> Response:
    """What changed since a moment: drawings with strokes and scores, and the room."""
    code = await _host(rooms, request)
    try:
        since = float(request.query_params.get("since", 0))
    except ValueError:
        raise Refused(400, "Since when?") from None
    rows = await run_in_threadpool(rooms.store.changed_since, code, since - OVERLAP_S)
    room = await run_in_threadpool(rooms.store.room, code)
    return JSONResponse(
        {
            "drawings": [_for_wall(row) for row in rows],
            "until": max([since, *(row["changed"] for row in rows)]),
            "closed": room["closed"],
            "holds": room["holds"],
        }
    )


async def host(rooms: "Rooms", request: Request) -> Response:
    """What the speaker does: show, hold, hide drawings, show all, mute, clear, close, open, hold new ones or not, delete."""
    code, sent, store = await _host(rooms, request), await _json(request), rooms.store
    action, numbers = sent.get("action"), sent.get("numbers")
    if numbers is not None and not (isinstance(numbers, list) and all(type(n) is int for n in numbers)):
        raise Refused(400, "Which drawings?")
    if action in STATES:
        await run_in_threadpool(store.set_state, code, numbers, STATES[action])
    elif action == "mute":
        await run_in_threadpool(store.mute, code, _token(sent.get("sender")))
    elif action == "clear":
        await run_in_threadpool(store.clear, code)
    elif action in ("close", "open"):
        await run_in_threadpool(lambda: store.set_room(code, closed=action == "close"))
    elif action in ("hold new", "show new"):
        await run_in_threadpool(lambda: store.set_room(code, holds=action == "hold new"))
    elif action == "delete":
        await run_in_threadpool(store.delete_room, code)
    else:
        raise Refused(400, "There is no such action.")
    return JSONResponse({})


async def export(rooms: "Rooms", request: Request) -> Response:
    code = await _host(rooms, request)
    content = await run_in_threadpool(rooms.store.export, code)
    name = f'attachment; filename="room-{code}.zip"'
    return Response(content, media_type="application/zip", headers={"Content-Disposition": name})


# --- Checks --------------------------------------------------------------------------------------------------------


def _code(request: Request) -> str:
    return request.path_params["code"].upper()[:16]


def _token(value: object) -> str:
    """A name that a phone made for itself or for a drawing."""
    if not isinstance(value, str) or not 8 <= len(value) <= 32 or not value.isascii() or not value.isalnum():
        raise Refused(400, "That is no drawing.")
    return value


async def _guard(rooms: "Rooms") -> "Guard":
    """The judge, as soon as it is loaded."""
    await run_in_threadpool(rooms.ready.wait)
    if rooms.guard is None:
        raise Refused(503, "This room has no judge: whoever runs the app finds the reason in its log.")
    return rooms.guard


async def _json(request: Request) -> dict:
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > BODY:
            raise Refused(413, "That is too large.")
    try:
        sent = json.loads(bytes(body))
    except (ValueError, RecursionError):
        raise Refused(400, "That is no drawing.") from None
    if not isinstance(sent, dict):
        raise Refused(400, "That is no drawing.")
    return sent


async def _own(rooms: "Rooms", code: str, number: int, sender: str) -> dict:
    row = await run_in_threadpool(rooms.store.drawing, code, number)
    if row is None or row["sender"] != sender:
        raise Refused(404, "There is no such drawing.")
    return row


def _waits(row: dict) -> bool:
    return row["prediction"] is None and row["reason"] is None


async def _host(rooms: "Rooms", request: Request) -> str:
    code = _code(request)
    key = request.headers.get("x-host-key") or request.query_params.get("key", "")
    await run_in_threadpool(rooms.store.check_host, code, key)
    return code


def _for_wall(row: dict) -> dict:
    kept = ("id", "sender", "nickname", "claim", "state", "prediction", "probability", "reason", "sent", "finished")
    counts = {"digit_votes": row["digit_votes"], "other_votes": row["other_votes"]}
    read = {"strokes": json.loads(row["strokes"]), "scores": json.loads(row["scores"]) if row["scores"] else None}
    return {name: row[name] for name in kept} | counts | read
