"""Where Airflow's page lists connections, and the form in which they are made and edited."""

from __future__ import annotations

from abc import ABC, abstractmethod

from playwright.sync_api import Locator, Page, expect

from airflow_provider_cloudsync.connection.fields import RELABELING


class ConnectionForm(ABC):
    """The form, which is one thing in Airflow 2 and another one in Airflow 3.

    :param page: of a browser that is signed in.
    """

    def __init__(self, page: Page) -> None:
        self._page = page

    @abstractmethod
    def add(self, conn_type: str) -> None:
        """Open it, for a connection of that type."""

    @abstractmethod
    def name(self, conn_id: str) -> None:
        """Give a new connection its id."""

    @abstractmethod
    def edit(self, conn_id: str) -> None:
        """Open it for a connection that there is."""

    @abstractmethod
    def save(self) -> None:
        """Save what is in it, and see that it was taken."""

    @property
    @abstractmethod
    def panel(self) -> Locator:
        """All that can be seen of it."""

    @abstractmethod
    def row(self, label: str) -> Locator:
        """A field with its label and what is said of it, once it can be seen."""

    def field(self, label: str) -> Locator:
        """Where a text is typed in."""
        return self.row(label).get_by_role("textbox")

    @abstractmethod
    def choose(self, label: str, value: str) -> None:
        """Give a value to a field that has a list of them, where this Airflow shows lists."""

    def shown(self) -> str:
        """Everything that it lets be read, in the page's source or in a field."""
        values = "inputs => inputs.map(each => each.value).join('\\n')"
        return self._page.content() + self._page.locator("input, textarea").evaluate_all(values)


class Airflow3Form(ConnectionForm):
    """A dialog with sections of which one is open at a time."""

    KEYS, OTHERS, JSON = "Standard Fields", "Extra Fields", "Extra Fields JSON"

    @property
    def panel(self) -> Locator:
        return self._page.get_by_role("dialog")

    def add(self, conn_type: str) -> None:
        self._page.goto("/connections")
        self._page.get_by_role("button", name="Add Connection").click()
        self.panel.get_by_role("combobox").click()
        self._page.get_by_role("option", name=conn_type, exact=True).click()

    def name(self, conn_id: str) -> None:
        self.panel.get_by_label("Connection ID").fill(conn_id)

    def edit(self, conn_id: str) -> None:
        self._page.goto("/connections")
        row = self._page.get_by_role("row").filter(
            has=self._page.get_by_role("cell", name=conn_id, exact=True)
        )
        row.get_by_role("button", name="Edit Connection").click()
        expect(self.panel.get_by_label("Connection ID")).to_have_value(conn_id)

    def save(self) -> None:
        self.panel.get_by_role("button", name="Save").click()
        expect(self.panel).to_be_hidden()

    def row(self, label: str) -> Locator:
        self._open(self.KEYS if label in RELABELING.values() else self.OTHERS)
        return self.panel.get_by_role("group").filter(has=self._page.get_by_text(label, exact=True))

    def choose(self, label: str, value: str) -> None:
        self.row(label).get_by_role("combobox").click()
        self._page.get_by_role("option", name=value, exact=True).click()

    def shown(self) -> str:
        found = []
        for section in (self.KEYS, self.OTHERS, self.JSON):
            self._open(section)
            hidden = self.panel.get_by_role("button", name="Show value")
            while hidden.count():
                hidden.first.click()
            found.append(super().shown())
        return "\n".join(found)

    def _open(self, section: str) -> None:
        button = self.panel.get_by_role("button", name=section, exact=True)
        if button.get_attribute("aria-expanded") != "true":
            button.click()
        expect(button).to_have_attribute("aria-expanded", "true")


class Airflow2Form(ConnectionForm):
    """A page with all fields below each other."""

    @property
    def panel(self) -> Locator:
        return self._page.locator(".panel").filter(has=self._page.get_by_label("Connection Id"))

    def add(self, conn_type: str) -> None:
        self._page.goto("/connection/add")
        self._page.get_by_role("combobox").click()
        self._page.get_by_role("option", name=conn_type, exact=True).click()

    def name(self, conn_id: str) -> None:
        self._page.get_by_label("Connection Id").fill(conn_id)

    def edit(self, conn_id: str) -> None:
        self._page.goto("/connection/list/")
        row = self._page.get_by_role("row").filter(
            has=self._page.get_by_role("cell", name=conn_id, exact=True)
        )
        row.get_by_role("link", name="Edit").click()
        expect(self._page.get_by_label("Connection Id")).to_have_value(conn_id)

    def save(self) -> None:
        self._page.get_by_role("button", name="Save").click()
        expect(self._page.get_by_text("ed Row")).to_be_visible()

    def row(self, label: str) -> Locator:
        named = self._page.get_by_role("cell").get_by_text(label, exact=True)
        return self.panel.get_by_role("row").filter(has=named)

    def choose(self, label: str, value: str) -> None:
        self.field(label).fill(value)
