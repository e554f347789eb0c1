"""The rooms' database on a real Postgres server, where Debian's is installed: several processes write at once."""

import os
import shutil
import socket
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

pytest.importorskip("psycopg", reason="the optional part postgres is not installed")

from robust.room.store import SHOWN, NoSuchRoom, Store


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    binaries = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not binaries:
        pytest.skip("Postgres is not installed on this machine (Debian: apt install postgresql).")
    folder = tmp_path_factory.mktemp("postgres")
    folder.chmod(0o755)
    for parent in folder.parents[:3]:
        if os.access(parent, os.W_OK) and parent != Path("/tmp"):
            parent.chmod(0o755)
    data = folder / "data"
    data.mkdir()
    user = []
    if os.geteuid() == 0:  # initdb refuses root
        shutil.chown(data, "postgres")
        user = ["runuser", "-u", "postgres", "--"]
    subprocess.run(
        [*user, binaries[-1], "-D", data, "-A", "trust", "-U", "postgres"], check=True, stdout=subprocess.DEVNULL
    )
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = ["-D", data, "-p", str(port), "-k", data, "-h", "127.0.0.1"]
    server = subprocess.Popen([*user, binaries[-1].with_name("postgres"), *options], stderr=subprocess.DEVNULL)
    for _ in range(100):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.1)
    time.sleep(0.5)
    yield f"postgresql://postgres@127.0.0.1:{port}/postgres"
    server.terminate()
    server.wait()


def test_rooms_live_in_postgres(address):
    first, second = Store(address), Store(address)  # two app processes share it
    code, key = first.open_room()
    second.check_host(code, key)
    with ThreadPoolExecutor(8) as pool:
        stores = [first, second]
        numbers = list(
            pool.map(
                lambda i: stores[i % 2].add(code, f"phone{i % 20:03d}ab", f"drawing{i:04d}", "", 1, [[(1, 2)]]),
                range(80),
            )
        )
    assert len(set(numbers)) == 80
    assert first.add(code, "phone000ab", "drawing0000", "", 1, [[(1, 2)]]) == numbers[0], "sent twice, kept once"
    second.set_state(code, None, SHOWN)
    assert {row["state"] for row in first.changed_since(code, 0)} == {SHOWN}
    first.write([{"id": numbers[0], "prediction": 1, "probability": 0.9, "scores": "{}"}])
    assert [row["id"] for row in second.unfinished(5)] == [numbers[0]]
    second.mute(code, "phone000ab")
    assert first.is_muted(code, "phone000ab")
    second.delete_room(code)
    with pytest.raises(NoSuchRoom):
        first.room(code)
