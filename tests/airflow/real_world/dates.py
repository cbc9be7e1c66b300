"""``Date`` headers as servers and proxies send them."""

from __future__ import annotations

from datetime import UTC, datetime

from tests.airflow.real_world.cloud import DateForm, http_date


def _shifted(by: float) -> DateForm:
    return lambda at: http_date(at + by)


def _written(form: str, hours: int = 0) -> DateForm:
    return lambda at: datetime.fromtimestamp(at + hours * 3600, UTC).strftime(form)


#: What a Date header is like, and what writes it. None of these is wrong by more than the service's clock may be.
DATES: dict[str, DateForm] = {
    "no Date": lambda at: None,
    "Date 8 s behind": _shifted(-8),
    "Date 8 s ahead": _shifted(8),
    "Date 3 min behind": _shifted(-180),
    "Date 1 h behind": _shifted(-3600),
    "Date -0000": _written("%a, %d %b %Y %H:%M:%S -0000"),
    "Date without a zone": _written("%a, %d %b %Y %H:%M:%S"),
    "Date +0800": _written("%a, %d %b %Y %H:%M:%S +0800", 8),
    "Date is no date": lambda at: "yesterday",
    "Date is empty": lambda at: "",
}
