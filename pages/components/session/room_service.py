"""The room of this server: what the page *Room* and the phones' routes share."""

import contextlib
import importlib.util
import sys
from collections.abc import AsyncIterator


def has_rooms() -> bool:
    """Whether the optional part `room` is installed."""
    return all(importlib.util.find_spec(name) for name in ("sqlalchemy", "segno"))


def rooms():
    """The rooms of this process, judged by the guard that the app opens with."""
    from pages.components.session.session import given_guards, known_worlds
    from robust.room.service import rooms as of_process
    from robust.serving.source import GuardSource

    first = known_worlds()[0]
    return of_process(given_guards().get(first) or GuardSource(first))


def routes() -> list:
    """Of the phones; none without the optional part."""
    if not has_rooms():
        return []
    from robust.room.routes import room_routes

    return room_routes(rooms)


@contextlib.asynccontextmanager
async def lifespan(app) -> AsyncIterator[None]:
    """Of the server: when it ends, so does the judging of rooms, and a Ray of its own."""
    yield
    if service := sys.modules.get("robust.room.service"):  # it was needed
        service.stop_rooms()
