"""Twenty visitors who draw at the same time: each sees their own drawing, judged, and nobody else's."""

import asyncio
import base64
import importlib.util
from concurrent.futures import ThreadPoolExecutor

import pytest
from browser import REPOSITORY

from pages.components.style.style import as_data_url
from pages.components.views.pictures import as_picture
from robust import Guard

AT_ONCE = 20

_spec = importlib.util.spec_from_file_location("visitors", REPOSITORY / "hosting" / "visitors.py")
visitors = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(visitors)


async def draw(guest, drawing: dict, everybody: asyncio.Barrier) -> bytes:
    """What the app sends when a visitor, with all others at the same moment, has drawn something."""
    async with guest.connect() as socket:
        await guest.run(socket, None)
        await everybody.wait()
        return b"".join(await guest.run(socket, drawing))


async def draw_all(guests: list, drawings: list[dict]) -> list[bytes]:
    everybody = asyncio.Barrier(len(guests))
    return await asyncio.gather(*(draw(guest, drawing, everybody) for guest, drawing in zip(guests, drawings)))


@pytest.fixture(scope="module")
def told(address) -> list[tuple[bytes, bytes]]:
    """What each drew, as a PNG file, and all that the app then sent."""
    guests = [visitors.Visitor(address, number) for number in range(AT_ONCE)]
    drawings = [visitors.scribble(guest.randomness) for guest in guests]
    files = [base64.b64decode(one["drawing"]["data"].split(",")[1]) for one in drawings]
    with ThreadPoolExecutor(1) as thread:  # browser tests leave a loop in this one
        return list(zip(files, thread.submit(asyncio.run, draw_all(guests, drawings)).result()))


def test_nobody_sees_anothers_drawing(told):
    guard = Guard.load()
    seen = [as_data_url(as_picture(guard.prepare(file).pixels)).encode() for file, _ in told]
    assert len(set(seen)) == AT_ONCE
    for i, (_, sent) in enumerate(told):
        assert [j for j, picture in enumerate(seen) if picture in sent] == [i]


def test_all_who_look_at_the_same_example_at_once_get_it(address):
    """One of them has it judged, under a lock for which the others wait: none may wait for ever."""

    async def look(guest, everybody: asyncio.Barrier) -> bytes:
        async with guest.connect() as socket:
            await everybody.wait()
            return b"".join(await guest.run(socket, None, "world=fashion-mnist&example=Falafel"))

    async def all_look() -> list[bytes]:
        everybody = asyncio.Barrier(AT_ONCE)
        return await asyncio.gather(*(look(visitors.Visitor(address, i), everybody) for i in range(AT_ONCE)))

    with ThreadPoolExecutor(1) as thread:
        for sent in thread.submit(asyncio.run, all_look()).result():
            assert "⊘ not reliable".encode() in sent


def test_each_is_judged_as_alone(told):
    guard = Guard.load()
    for file, sent in told[:8]:
        score = guard.inspect(file).verdicts["surprise"].score
        assert f"Together: <b>{score:.2f}</b>".encode() in sent
