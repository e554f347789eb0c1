"""A guard that a stranger made is data: nothing that its manifest says is markup."""

import shutil

from browser import REPOSITORY, streamlit_app
from playwright.sync_api import Page, expect

from robust.models.store import DEFAULT_WORLD, read_manifest, write_manifest

MARKUP = "\"'><img src=x onerror='window.robbed = 1'><script>window.robbed = 1</script>"


def test_no_page_runs_what_a_manifest_says(page: Page, tmp_path, monkeypatch):
    shutil.copytree(DEFAULT_WORLD, tmp_path / "worlds" / "mnist")
    subject = read_manifest(DEFAULT_WORLD)["subject"]
    words = {"noun": MARKUP, "plural": MARKUP, "answer": MARKUP, "classes": [f"{MARKUP}{i}" for i in range(10)]}
    write_manifest(tmp_path / "worlds" / "mnist", {"subject": subject | words})
    monkeypatch.setenv("ROBUST_WEIGHTS", str(tmp_path / "worlds"))
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    with streamlit_app(REPOSITORY / "app.py") as address:
        page.set_default_timeout(60_000)
        for path, ready in [
            ("?example=Digit+3", ".why-card"),
            ("thresholds?example=Digit+3", ".confusion"),
            ("how_it_works?example=Digit+3", ".film .frame figure"),
            ("in_production", ".live"),
            ("talk?step=6", ".talk .verdict"),
            ("compare", ".stMain h1"),
        ]:
            page.goto(f"{address}/{path}")
            expect(page.locator(ready).first).to_be_visible(timeout=60_000)
            page.wait_for_timeout(500)
            assert page.evaluate("window.robbed") is None, path
            assert page.locator("img[src=x], [onerror]").count() == 0, path
    assert not [error for error in errors if "robbed" in error]
