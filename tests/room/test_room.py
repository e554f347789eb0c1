"""The room as phones and the speaker use it, over HTTP, with a real database and the real nets."""

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
import zipfile

import pytest
from PIL import Image

pytest.importorskip("sqlalchemy", reason="the optional part room is not installed")

from starlette.applications import Starlette
from starlette.testclient import TestClient

from robust.evaluation.inputs import labelled
from robust.room.drawing import MOST_POINTS, UnusableStrokes, checked, draw
from robust.room.limits import BODY, Limit
from robust.room.routes import room_routes
from robust.room.service import Rooms
from robust.room.store import HIDDEN, SHOWN, NoSuchRoom, Store
from robust.serving.source import GuardSource

THREE = [[[290, 250], [500, 180], [680, 290], [640, 430], [460, 500], [680, 570], [710, 750], [500, 840], [290, 770]]]
K = [[[320, 180], [320, 820]], [[700, 200], [340, 520], [710, 820]]]
SENDER, OTHER = "phone2abcdef", "phone3abcdef"


@pytest.fixture(scope="module")
def rooms(tmp_path_factory):
    found = Rooms(Store(f"sqlite:///{tmp_path_factory.mktemp('rooms') / 'rooms.db'}"), GuardSource("mnist"))
    yield found
    found.worker.stop()


@pytest.fixture
def client(rooms):
    with TestClient(Starlette(routes=room_routes(lambda: rooms))) as client:
        yield client


@pytest.fixture
def room(rooms):
    rooms.senders.buckets.clear()
    return rooms.store.open_room()


def drawing(strokes=THREE, claim=3, key="drawing1abc", sender=SENDER, **rest) -> dict:
    return {"sender": sender, "key": key, "nickname": "Ada", "claim": claim, "strokes": strokes} | rest


def send(client, code, **values):
    return client.post(f"/room/{code}/drawings", json=drawing(**values))


def verdict(client, code, number, sender=SENDER) -> dict:
    for _ in range(100):
        answer = client.get(f"/room/{code}/drawings/{number}", params={"sender": sender}).json()
        if "place" not in answer:
            return answer
    raise AssertionError("no verdict came")


def on_wall(client, code, key, since=0) -> list[dict]:
    return client.get(f"/room/{code}/wall", params={"since": since}, headers={"x-host-key": key}).json()["drawings"]


def act(client, code, key, action, **rest):
    return client.post(f"/room/{code}/host", json={"action": action} | rest, headers={"x-host-key": key})


def test_a_three_is_read_and_a_letter_is_refused(client, room):
    code, _ = room
    sent = send(client, code)
    assert sent.status_code == 202
    found = verdict(client, code, sent.json()["number"])
    assert found["answer"] == "3" and not found["refused"] and found["probability"] > 0.9
    number = send(client, code, strokes=K, claim=None, key="drawing2abc").json()["number"]
    assert verdict(client, code, number)["refused"]
    assert verdict(client, code, number)["odder_than"] > 0.95


def test_a_drawing_sent_twice_is_kept_once(client, room):
    code, key = room
    numbers = {send(client, code).json()["number"] for _ in range(3)}
    assert len(numbers) == 1
    assert len(on_wall(client, code, key)) == 1


def test_delta_z_follows(client, room):
    code, key = room
    number = send(client, code).json()["number"]
    verdict(client, code, number)
    for _ in range(100):
        (row,) = on_wall(client, code, key)
        if row["finished"]:
            break
        time.sleep(0.1)
    assert row["finished"] and {"delta_z", "vae_loss", "surprise"} == set(row["scores"])


def test_what_is_drawn_is_held_until_the_speaker_shows_it(client, room):
    code, key = room
    first, second = (send(client, code, key=f"drawing{i}abc").json()["number"] for i in (1, 2))
    assert {row["state"] for row in on_wall(client, code, key)} == {"held"}
    act(client, code, key, "show", numbers=[first])
    assert {row["id"]: row["state"] for row in on_wall(client, code, key)} == {first: "shown", second: "held"}
    act(client, code, key, "show")
    assert {row["state"] for row in on_wall(client, code, key)} == {SHOWN}
    act(client, code, key, "mute", sender=SENDER)
    assert {row["state"] for row in on_wall(client, code, key)} == {HIDDEN}
    assert send(client, code, key="drawing3abc").status_code == 403
    act(client, code, key, "show new")
    number = send(client, code, sender=OTHER).json()["number"]
    assert {row["id"]: row["state"] for row in on_wall(client, code, key)}[number] == SHOWN
    act(client, code, key, "close")
    assert send(client, code, sender=OTHER, key="drawing4abc").status_code == 403
    act(client, code, key, "delete")
    assert client.get(f"/room/{code}/state").status_code == 404


def test_a_classifier_that_fails_holds_nobody_up(client, rooms, room, monkeypatch):
    code, _ = room
    with monkeypatch.context() as broken:
        broken.setattr(rooms.guard, "probabilities", lambda images: 1 / 0)
        number = send(client, code).json()["number"]
        assert "could not be judged" in verdict(client, code, number)["unusable"]
    number = send(client, code, key="drawing2abc").json()["number"]
    assert verdict(client, code, number)["answer"] == "3"


def test_a_room_without_a_judge_says_so(tmp_path):
    judgeless = Rooms(Store(f"sqlite:///{tmp_path / 'rooms.db'}"), GuardSource(str(tmp_path / "no guard")))
    code, _ = judgeless.store.open_room()
    with TestClient(Starlette(routes=room_routes(lambda: judgeless))) as client:
        assert client.get(f"/room/{code}/state").status_code == 503
        assert "no judge" in send(client, code).json()["error"]


def test_votes_count_for_shown_drawings_only(client, room):
    code, key = room
    number = send(client, code, claim=None).json()["number"]
    vote = {"sender": OTHER, "is_digit": False}
    assert client.post(f"/room/{code}/drawings/{number}/vote", json=vote).status_code == 404
    act(client, code, key, "show")
    assert client.post(f"/room/{code}/drawings/{number}/vote", json=vote).status_code == 200
    verdict(client, code, number)
    asked = client.get(f"/room/{code}/ballot", params={"sender": OTHER}).json()
    assert asked["number"] == number and asked["strokes"] == THREE
    assert client.get(f"/room/{code}/ballot", params={"sender": SENDER}).json() == {}, "nobody votes on their own"
    assert on_wall(client, code, key)[0]["other_votes"] == 1


def test_an_export_is_a_test_set(client, room, tmp_path):
    code, key = room
    for i, (strokes, claim) in enumerate([(THREE, 3), (K, None)]):
        verdict(client, code, send(client, code, strokes=strokes, claim=claim, key=f"drawing{i}abc").json()["number"])
    archive = client.get(f"/room/{code}/export", params={"key": key})
    zipfile.ZipFile(io.BytesIO(archive.content)).extractall(tmp_path)
    samples = list(labelled(tmp_path))
    assert sorted(sample.label for sample in samples) == ["3", "none"]
    assert Image.open(io.BytesIO(samples[0].picture)).size == (280, 280)


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b"null",
        b"[" * 50_000,
        json.dumps(drawing(strokes=[])).encode(),
        json.dumps(drawing(strokes=[[[0, 0]] * 100_000]))[:BODY].encode(),
        json.dumps(drawing(strokes=[[[0, 10**9]]])).encode(),
        json.dumps(drawing(strokes=[[[True, False]]])).encode(),
        json.dumps(drawing(strokes=[[["a", "b"]]])).encode(),
        json.dumps(drawing(sender="<script>alert(1)</script>")).encode(),
        json.dumps(drawing(nickname=["Ada"])).encode(),
        json.dumps(drawing(claim="yes")).encode(),
        json.dumps(drawing(claim=10)).encode(),
        b"x" * 1_000_000,
    ],
)
def test_broken_requests_are_refused_in_a_sentence(client, room, body):
    code, key = room
    answer = client.post(f"/room/{code}/drawings", content=body)
    assert 400 <= answer.status_code < 500
    assert answer.json()["error"].endswith((".", "?"))
    assert on_wall(client, code, key) == []


def test_ten_times_too_fast_is_refused_and_others_go_on(client, room):
    code, _ = room
    answers = [send(client, code, key=f"drawing{i}abc").status_code for i in range(12)]
    assert answers[:5] == [202] * 5 and answers[-1] == 429
    assert send(client, code, sender=OTHER).status_code == 202


def test_other_rooms_keys_and_other_phones_drawings_stay_closed(client, rooms, room):
    code, _ = room
    other, other_key = rooms.store.open_room()
    number = send(client, code).json()["number"]
    for path in ("wall", "export"):
        assert client.get(f"/room/{code}/{path}", headers={"x-host-key": other_key}).status_code == 404
    assert act(client, code, other_key, "delete").status_code == 404
    assert client.get(f"/room/{code}/drawings/{number}", params={"sender": OTHER}).status_code == 404
    assert client.get(f"/room/{other}/drawings/{number}", params={"sender": SENDER}).status_code == 404
    assert client.get("/room/ZZZZZ").status_code == 404


def test_a_script_in_a_nickname_is_a_nickname(client, room):
    code, key = room
    send(client, code, nickname="<img src=x onerror=a>")
    assert on_wall(client, code, key)[0]["nickname"] == "<img src=x onerror=a"  # twenty characters of text


def test_the_phones_page_is_light(client, room):
    page = client.get(f"/room/{room[0]}")
    assert page.status_code == 200 and len(page.content) < 150_000
    assert re.findall(r"https?://|\bsrc=|\bhref=|@import", page.text) == [], "it asks for more than itself"


KILLED = """
import sys
from robust.room.store import Store
store = Store(sys.argv[1])
code, key = store.open_room()
print(code, flush=True)
for i in range(10_000):
    store.add(code, "phone2abcdef", f"drawing{i}", "", True, [[(1, 2)]])
    print(i, flush=True)
"""


def test_what_was_acknowledged_survives_a_killed_process(tmp_path):
    address = f"sqlite:///{tmp_path / 'rooms.db'}"
    command = [sys.executable, "-c", KILLED, address]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ)
    code = process.stdout.readline().strip()
    acknowledged = [int(process.stdout.readline()) for _ in range(20)]
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = Store(address).changed_since(code, 0, 100_000)
    assert len(kept) >= len(acknowledged)
    assert {f"drawing{i}" for i in acknowledged} <= {row["key"] for row in kept}


def test_old_rooms_forget_themselves(tmp_path, monkeypatch):
    store = Store(f"sqlite:///{tmp_path / 'rooms.db'}")
    code, _ = store.open_room()
    store.add(code, SENDER, "drawing1abc", "Ada", True, [[(1, 2)]])
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 8 * 86_400)
    store.forget_old_rooms()
    with pytest.raises(NoSuchRoom):
        store.room(code)


def test_strokes_are_drawn_as_on_the_pad():
    assert draw(checked(THREE)).size == (280, 280)
    assert max(draw(checked([[[500, 500]]])).get_flattened_data()) == 255
    with pytest.raises(UnusableStrokes, match="points"):
        checked([[[0, 0]] * (MOST_POINTS + 1)])


def test_tokens_come_back_with_time():
    limit = Limit(1, 2)
    assert [limit.allows("a", now) for now in (0, 0, 0, 1.5, 1.6)] == [True, True, False, True, False]
    assert limit.allows("b", 0)
