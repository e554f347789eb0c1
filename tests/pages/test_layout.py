"""What must be reachable at every width: the pages and the world, side by side and not on top of each other."""

import pytest
from playwright.sync_api import expect

PAGES = ("Try it", "Thresholds", "Compare", "How δz works", "In production", "Talk", "Room")


@pytest.mark.parametrize("width", [360, 390, 768, 820, 1024, 1280, 1920])
def test_pages_and_world_are_reachable_without_a_menu(chromium, address, width):
    context = chromium.new_context(viewport={"width": width, "height": 900})
    page = context.new_page()
    page.goto(f"{address}/compare")
    page.locator("h1").wait_for(timeout=60_000)
    world = page.locator(".st-key-world").bounding_box()
    for name in PAGES:
        link = page.get_by_role("link", name=name, exact=True).locator("visible=true").first
        expect(link).to_be_visible()
        link.scroll_into_view_if_needed()
        box = link.bounding_box()
        beside = box["x"] + box["width"] <= world["x"] or box["y"] >= world["y"] + world["height"]
        assert beside, f"{name} lies under the choice of the world at {width}"
    page.get_by_role("link", name="Thresholds", exact=True).locator("visible=true").first.click()
    expect(page.locator("h1", has_text="Where should the line stand?")).to_be_visible(timeout=60_000)
    context.close()
