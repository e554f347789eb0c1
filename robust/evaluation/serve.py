"""How fast `python -m robust serve` answers, and that nothing it has taken in is lost when it is stopped."""

import asyncio
import io
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


def measure(clients: int, requests: int, metrics: str) -> list[Table]:
    return asyncio.run(_measure(clients, requests, metrics))


def pictures() -> list[bytes]:
    """The digits that ship, enlarged as a camera would bring them, as PNG files."""
    files = []
    for image in samples()["mnist_images"][:, 0].numpy():
        buffer = io.BytesIO()
        Image.fromarray(image).resize((112, 112), Image.Resampling.BICUBIC).save(buffer, "PNG")
        files.append(buffer.getvalue())
    return files


async def _start(client, metrics: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "robust", "serve", "--metrics", metrics, "--port", str(PORT)]
    server = subprocess.Popen(command)
    for _ in range(10 * START_S):
        try:
            await client.get("/health")
            return server
        except Exception:
            await asyncio.sleep(0.1)
    raise RuntimeError(f"The server did not answer within {START_S} s.")


async def _measure(clients: int, requests: int, metrics: str) -> list[Table]:
    import httpx

    files, waits, failed = pictures(), [], 0
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{PORT}", timeout=30) as client:
        server = await _start(client, metrics)
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
        lost = await _stop_in_the_middle(client, server, files, clients)
    rows = [
        ["requests", f"{len(waits):,}"],
        ["failed", str(failed)],
        ["requests a second", f"{(requests + 100) / took:.0f}"],
        ["p50", f"{1000 * np.percentile(waits, 50):.0f} ms"],
        ["p99", f"{1000 * np.percentile(waits, 99):.0f} ms"],
        ["taken in and not answered when stopped", str(lost)],
    ]
    return [Table(f"robust serve --metrics {metrics}, {clients} clients", ["what", "measured"], rows)]


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
