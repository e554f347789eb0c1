"""Visitors of the app, as clients of Streamlit's WebSocket: each draws something new every ten seconds.

Run by `python -m robust benchmark visitors`. It is no part of the library, which knows nothing of Streamlit.
"""

import argparse
import asyncio
import base64
import io
import json
import math
import random
import time
import urllib.request

import numpy as np
import websockets
from PIL import Image, ImageDraw
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

EVERY_S = 10.0
PARTS = 6
PAD = 280


def scribble(randomness: random.Random) -> dict:
    """What the pad sends: a drawing that nobody has sent before."""
    page = Image.new("RGBA", (PAD, PAD), "black")
    points = [(randomness.randrange(50, 230), randomness.randrange(50, 230)) for _ in range(randomness.randrange(3, 8))]
    ImageDraw.Draw(page).line(points, fill="white", width=20, joint="curve")
    buffer = io.BytesIO()
    page.save(buffer, "PNG")
    data = "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
    return {"drawing": {"raw": {"objects": [{"type": "Path", "points": points}]}, "data": data}}


class Visitor:
    def __init__(self, address: str, number: int):
        self.address, self.randomness = address, random.Random(number)
        self.pad, self.waits, self.errors = None, [], 0

    def connect(self):
        url = self.address.replace("http", "ws", 1) + "/_stcore/stream"
        return websockets.connect(url, subprotocols=["streamlit"], max_size=None)

    async def stay(self, until: float) -> None:
        try:
            async with self.connect() as socket:
                await self.run(socket, None)
                while time.monotonic() < until:
                    began = time.monotonic()
                    await self.run(socket, scribble(self.randomness))
                    self.waits.append(time.monotonic() - began)
                    await asyncio.sleep(max(0, EVERY_S - (time.monotonic() - began)))
        except Exception:
            self.errors += 1

    async def run(self, socket, drawing: dict | None, link: str = "") -> list[bytes]:
        """One run of the script, to its end: what it sent. `link`: what follows the "?" of the page's address."""
        message = BackMsg()
        message.rerun_script.query_string = link
        if drawing:
            state = message.rerun_script.widget_states.widgets.add()
            state.id, state.json_value = self.pad, json.dumps(drawing)
        await socket.send(message.SerializeToString())
        received = []
        while True:
            received.append(await asyncio.wait_for(socket.recv(), 60))
            found = ForwardMsg.FromString(received[-1])
            kind = found.WhichOneof("type")
            if kind == "delta" and found.delta.new_element.WhichOneof("type") == "bidi_component":
                component = found.delta.new_element.bidi_component
                if component.id.endswith("-pad"):
                    self.pad = component.id
            if kind == "delta" and found.delta.new_element.WhichOneof("type") == "exception":
                self.errors += 1
            if kind == "script_finished":
                return received


def memory_mb(pid: int) -> float:
    with open(f"/proc/{pid}/status") as lines:
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))


async def measure(address: str, pid: int, visitors: int, seconds: float, each: float) -> str:
    """So many visitors at once; after `each` seconds a visitor leaves, and another comes."""
    guests: list[Visitor] = []
    until = time.monotonic() + seconds + EVERY_S

    async def one_after_the_other(first: float) -> None:
        await asyncio.sleep(first)
        while time.monotonic() < until - EVERY_S:
            guests.append(guest := Visitor(address, len(guests)))
            await guest.stay(min(until, time.monotonic() + each))

    coming = [asyncio.create_task(one_after_the_other(EVERY_S * i / visitors)) for i in range(visitors)]
    memory = [memory_mb(pid)]
    for _ in range(PARTS):
        await asyncio.sleep(seconds / PARTS)
        memory.append(memory_mb(pid))
    await asyncio.gather(*coming)
    waits, errors = np.concatenate([guest.waits for guest in guests]), sum(guest.errors for guest in guests)
    return (
        f"{visitors} visitors at once, {len(guests)} in all, {len(waits)} drawings, {errors} errors: p50 {np.percentile(waits, 50):.2f} s, "
        f"p95 {np.percentile(waits, 95):.2f} s to the end of the run; memory from start to end, {PARTS} times: "
        f"{', '.join(f'{mb:.0f}' for mb in memory)} MB"
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("address")
    parser.add_argument("pid", type=int)
    parser.add_argument("--visitors", type=int, nargs="+", default=[10, 25, 50])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--each", type=float, default=math.inf)
    options = parser.parse_args()
    urllib.request.urlopen(options.address).close()
    for visitors in options.visitors:
        told = measure(options.address, options.pid, visitors, options.seconds, options.each)
        print(asyncio.run(told), flush=True)


if __name__ == "__main__":
    main()
