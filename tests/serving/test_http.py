"""The guard over HTTP, as a client of another language sees it."""

import io
import os
from concurrent.futures import ThreadPoolExecutor

import pytest
from PIL import Image

pytest.importorskip("prometheus_client", reason="the optional part serve is not installed")

from starlette.testclient import TestClient

from robust import Guard
from robust.data.examples import EXAMPLES
from robust.serving.http import MOST_BYTES, http_app

METRICS = ("vae_loss", "surprise")


@pytest.fixture(scope="module")
def client():
    with TestClient(http_app(Guard.load(metrics=METRICS))) as client:
        yield client


def png(name: str) -> bytes:
    buffer = io.BytesIO()
    EXAMPLES[name]().save(buffer, "PNG")
    return buffer.getvalue()


def test_a_picture_gets_the_row_that_score_prints(client):
    row = client.post("/v1/judge?path=three.png", content=png("Digit 3")).json()
    expected = Guard.load(metrics=METRICS).inspect(png("Digit 3")).as_json()
    assert row.pop("path") == "three.png"
    assert row == pytest.approx(expected)


def test_several_files_at_once(client):
    files = [
        ("a", ("three.png", png("Digit 3"))),
        ("b", ("chicken.png", png("Chicken"))),
        ("c", ("x.png", b"no picture")),
    ]
    rows = client.post("/v1/judge", files=files).json()["rows"]
    assert [row["path"] for row in rows] == ["three.png", "chicken.png", "x.png"]
    assert rows[0]["reliable"] and not rows[1]["reliable"]
    assert "not a picture" in rows[2]["error"]


def test_batched_with_others_it_is_judged_as_alone(client):
    names = [f"Digit {i % 10}" for i in range(40)] + ["Chicken", "Falafel"] * 5
    alone = {name: client.post("/v1/judge", content=png(name)).json() for name in set(names)}
    with ThreadPoolExecutor(10) as pool:
        together = list(pool.map(lambda name: client.post("/v1/judge", content=png(name)).json(), names))
    for name, row in zip(names, together):
        assert row["prediction"] == alone[name]["prediction"]
        assert row["vae_loss"] == pytest.approx(alone[name]["vae_loss"], rel=1e-5)


@pytest.mark.parametrize(
    ("body", "status"), [(b"", 400), (b"hello", 422), (b"x" * (MOST_BYTES + 1), 413), (b"%PDF-1.4", 422)]
)
def test_what_is_no_picture_gets_a_status_and_a_sentence(client, body, status):
    answer = client.post("/v1/judge", content=body)
    assert answer.status_code == status
    assert answer.json()["error"].endswith(".")


def test_a_form_without_a_file_is_refused(client):
    answer = client.post(
        "/v1/judge", files={}, data={"a": "b"}, headers={"content-type": "multipart/form-data; boundary=x"}
    )
    assert answer.status_code == 400


def test_prometheus_counts_pictures_refusals_and_waits(client):
    def value(line: str) -> float:
        text = client.get("/metrics").text
        return float(next((row.split()[-1] for row in text.splitlines() if row.startswith(line)), 0))

    before = value('robust_refusals_total{metric="vae_loss"}')
    buffer = io.BytesIO()
    Image.effect_noise((64, 64), 90).save(buffer, "PNG")
    client.post("/v1/judge", content=png("Chicken"))
    client.app.state.service.counting.submit(int).result()  # it is counted by now
    assert value('robust_refusals_total{metric="vae_loss"}') == before + 1
    assert value("robust_request_seconds_count") > 0
    assert value('robust_drift{state="collecting"}') + value('robust_drift{state="no drift"}') + value('robust_drift{state="drift"}') == 1  # fmt: skip
    assert client.get("/health").json() == {"status": "ok", "waiting": 0, "process": os.getpid()}


def test_the_description_names_every_field_of_a_row(client):
    found = client.get("/openapi.json").json()
    schema = found["paths"]["/v1/judge"]["post"]["responses"]["422"]["content"]["application/json"]["schema"]
    row = client.post("/v1/judge", content=png("Digit 3")).json()
    assert set(row) <= set(schema["properties"])
