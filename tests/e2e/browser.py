"""A browser that a test looks at Airflow's page with, and the pictures it takes of it."""

from __future__ import annotations

import base64
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.e2e.airflow_site import AirflowSite
from tests.e2e.site_settings import USER

# Only `make e2e-browser` has it; what is installed is asked for without it.
if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Locator, Page, Route

ROOT = Path(__file__).parents[2]
#: What the browser is called where; it is the system's, and never downloaded.
PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
OPTIONS = [
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
]
#: Seconds that a page may take until it shows what is looked for.
PATIENCE = 60.0
#: Where each picture goes; with the variable set those that a guide shows go there, too.
PICTURES = ROOT / "build/screenshots"
GUIDES = ROOT / "docs"
INTO_THE_GUIDES = "CLOUDSYNC_SCREENSHOTS"


class Screen:
    """The page of an Airflow, signed in.

    :param context: the browser, with an empty profile.
    """

    def __init__(self, site: AirflowSite, context: BrowserContext) -> None:
        self._context = context
        #: Addresses elsewhere that a page asked for, and was not given.
        self.outside: list[str] = []
        self._home = f"{site.url}/"
        context.set_default_timeout(1000 * PATIENCE)
        context.route("**/*", self._only_inside)
        self.page: Page = context.new_page()
        self._sign_in(site.password)

    def shot(self, of: Locator | None = None, height: float = float("inf")) -> bytes:
        """A picture of what is seen, or of a part of it down to that many pixels."""
        self.page.evaluate("document.activeElement?.blur()")
        if of is None:
            return self.page.screenshot(animations="disabled")
        box = of.bounding_box()
        assert box is not None
        clip = {**box, "height": min(height, box["height"])}
        return self.page.screenshot(animations="disabled", full_page=True, clip=clip)

    def keep(self, name: str, *shots: bytes) -> None:
        """Store a picture; several in one, side by side."""
        picture = shots[0] if len(shots) == 1 else self._side_by_side(shots)
        shown = any(f"({name}.png)" in guide.read_text(encoding="utf-8") for guide in GUIDES.glob("*.md"))
        for folder in (PICTURES, *([GUIDES] if os.environ.get(INTO_THE_GUIDES) and shown else ())):
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{name}.png").write_bytes(picture)

    def _side_by_side(self, shots: tuple[bytes, ...]) -> bytes:
        images = "".join(
            f'<img src="data:image/png;base64,{base64.b64encode(each).decode()}">' for each in shots
        )
        page = self._context.new_page()
        try:
            page.set_content(
                f'<div style="display: inline-flex; align-items: start; gap: 8px">{images}</div>'
            )
            return page.locator("div").screenshot()
        finally:
            page.close()

    def _sign_in(self, password: str) -> None:
        from playwright.sync_api import expect

        self.page.goto(self._home)
        self.page.locator("[name=username]").fill(USER)
        self.page.locator("[name=password]").fill(password)
        self.page.get_by_role("button", name=re.compile("sign in", re.IGNORECASE)).click()
        dags = self.page.get_by_role("link", name=re.compile("^dags$", re.IGNORECASE))
        expect(dags.first).to_be_visible()

    def _only_inside(self, route: Route) -> None:
        url = route.request.url
        if url.startswith((self._home, "data:", "blob:")):
            route.continue_()
        else:
            self.outside.append(url)
            route.abort()


@contextmanager
def signed_in(site: AirflowSite) -> Iterator[Screen]:
    """A browser of one's own, at that Airflow."""
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=1000 * PATIENCE)
    # As root it has no sandbox to run in.
    options = [*OPTIONS, *(() if os.geteuid() else ("--no-sandbox",))]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program(), args=options)
        try:
            yield Screen(
                site,
                browser.new_context(
                    base_url=site.url, color_scheme="light", locale="en-US", timezone_id="UTC"
                ),
            )
        finally:
            browser.close()


def program() -> str:
    """Where the browser is.

    :raises FileNotFoundError: nowhere.
    """
    for name in PROGRAMS:
        if found := shutil.which(name):
            return found
    raise FileNotFoundError(f"none of {', '.join(PROGRAMS)} is installed")
