"""How fast `python -m robust serve` answers, and that nothing it has taken in is lost when it is stopped."""

import asyncio
import io
import os
import signal
import subprocess
import sys
import time

import numpy as np
from PIL import Image

from robust.data.examples import samples
from robust.evaluation.tables import Table

PORT = 8598
START_S = 60
REPLICAS = 2


def measure(clients: int, requests: int, metrics: str, on_ray: bool) -> list[Table]:
    """With `on_ray` in two replicas on a local Ray, of which one is killed in the middle."""
    return asyncio.run(_measure(clients, requests, metrics, on_ray))


def pictures() -> list[bytes]:
    """The digits that ship, enlarged as a camera would bring them, as PNG files."""
    files = []
    for image in samples()["mnist_images"][:, 0].numpy():
        buffer = io.BytesIO()
        Image.fromarray(image).resize((112, 112), Image.Resampling.BICUBIC).save(buffer, "PNG")
        files.append(buffer.getvalue())
    return files


async def _start(client, metrics: str, on_ray: bool) -> subprocess.Popen:
    command = [sys.executable, "-m", "robust", "serve", "--metrics", metrics, "--port", str(PORT)]
    command += ["--replicas", str(REPLICAS), "--ray"] if on_ray else []
    server = subprocess.Popen(command)
    import httpx

    for _ in range(10 * START_S):
        try:
            (await client.get("/health")).raise_for_status()
            return server
        except httpx.HTTPError:
            await asyncio.sleep(0.1)
    raise RuntimeError(f"The server did not answer within {START_S} s.")


async def _measure(clients: int, requests: int, metrics: str, on_ray: bool) -> list[Table]:
    import httpx

    files, waits, failed = pictures(), [], 0
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{PORT}", timeout=30) as client:
        server = await _start(client, metrics, on_ray)
        left = iter(range(requests + 100))

        async def work() -> None:
            nonlocal failed
            for i in left:
                began = time.perf_counter()
                answer = await client.post("/v1/judge", content=files[i % len(files)])
                if i >= 100:  # the first ones warm it up
                    waits.append(time.perf_counter() - began)
                    failed += answer.status_code != 200

        began = time.perf_counter()
        await asyncio.gather(*(work() for _ in range(clients)))
        took = time.perf_counter() - began
        killed = await _kill_one(client, files, clients) if on_ray else []
        lost = await _stop_in_the_middle(client, server, files, clients)
    rows = [
        ["requests", f"{len(waits):,}"],
        ["failed", str(failed)],
        ["requests a second", f"{(requests + 100) / took:.0f}"],
        ["p50", f"{1000 * np.percentile(waits, 50):.0f} ms"],
        ["p99", f"{1000 * np.percentile(waits, 99):.0f} ms"],
        *killed,
        ["taken in and not answered when stopped", str(lost)],
    ]
    title = f"robust serve --metrics {metrics}{f' --ray, {REPLICAS} replicas' if on_ray else ''}, {clients} clients"
    return [Table(title, ["what", "measured"], rows)]


async def _kill_one(client, files: list[bytes], clients: int) -> list[list[str]]:
    """Rows: what clients notice when a replica is killed while they ask, and how soon there are all again."""
    outcomes: list[int] = []
    over = asyncio.Event()

    async def work(i: int) -> None:
        while not over.is_set():
            outcomes.append((await client.post("/v1/judge", content=files[i % len(files)])).status_code)

    asking = [asyncio.create_task(work(i)) for i in range(clients)]
    before = await _processes(client)
    victim = min(before)
    os.kill(victim, signal.SIGKILL)
    began = time.perf_counter()
    while len(await _processes(client) - {victim}) < REPLICAS and time.perf_counter() - began < START_S:
        await asyncio.sleep(0.1)
    took = time.perf_counter() - began
    over.set()
    await asyncio.gather(*asking)
    failed = len(outcomes) - outcomes.count(200)
    return [
        ["one of them killed: requests until it was replaced", f"{len(outcomes):,}"],
        ["… failed", str(failed)],
        ["… all replicas answer again after", f"{took:.1f} s"],
    ]


async def _processes(client) -> set[int]:
    """Those that answer, found by asking some times."""
    answers = [await client.get("/health") for _ in range(8)]
    return {answer.json()["process"] for answer in answers if answer.status_code == 200}


async def _stop_in_the_middle(client, server: subprocess.Popen, files: list[bytes], clients: int) -> int:
    """SIGTERM while requests are under way; how many of those were cut off without an answer."""

    import httpx

    async def one(i: int) -> bool:
        try:
            await client.post("/v1/judge", content=files[i % len(files)])
        except httpx.ConnectError:
            return True  # it was not taken in
        except httpx.HTTPError:
            return False
        return True

    asking = [asyncio.create_task(one(i)) for i in range(4 * clients)]
    await asyncio.sleep(0.1)
    server.send_signal(signal.SIGTERM)
    answered = await asyncio.gather(*asking)
    await asyncio.to_thread(server.wait)
    return answered.count(False)
