"""Every page under axe-core: nothing serious or critical at any width, light or dark."""

import pytest
from axe_playwright_python.sync_playwright import Axe

PAGES = ("", "thresholds", "compare", "how_it_works", "in_production", "talk?step=6")
WIDTHS = (390, 820, 1366, 1920)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", PAGES)
def test_axe_finds_nothing_serious(chromium, address, path, scheme):
    context = chromium.new_context(viewport={"width": 1366, "height": 900}, color_scheme=scheme)
    page = context.new_page()
    page.goto(f"{address}/{path}{'&' if '?' in path else '?'}example=Chicken")
    page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for(timeout=60_000)
    page.locator("h1").first.wait_for(timeout=60_000)
    page.wait_for_timeout(500)
    found = []
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        page.wait_for_timeout(100)
        for violation in Axe().run(page).response["violations"]:
            if violation["impact"] in ("serious", "critical"):
                found.append((width, violation["id"], violation["nodes"][0]["html"][:150]))
        assert page.evaluate("document.documentElement.scrollWidth") <= width, f"the page is wider than {width}"
    context.close()
    assert found == []
