"""How IAM reads what it is sent, and how it refuses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from airflow_provider_cloudsync.emulator.messages import Call, Refused, Reply
from airflow_provider_cloudsync.emulator.service import Service

TITLES = {400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found"}


def refusal(status: int, text: str) -> Refused:
    """IAM's own form of an error."""
    return Refused(Reply({"error": {"code": status, "message": text, "title": TITLES[status]}}, status))


def inner(service: Service, parent: Mapping[str, Any], key: str) -> dict[str, Any]:
    """An object within an object, which must be there."""
    value = parent.get(key)
    if not isinstance(value, dict):
        raise service.misuse(f"{key} must be an object")
    return value


def needed_text(service: Service, parent: Mapping[str, Any], key: str) -> str:
    """A text within an object, which must be there."""
    value = parent.get(key)
    if not isinstance(value, str) or not value:
        raise service.misuse(f"{key} must be a text that is not empty")
    return value


def seconds(service: Service, parent: Mapping[str, Any], usual: int, most: int) -> int:
    """How long temporary keys are to live; nobody gets less than a quarter of an hour."""
    value = parent.get("duration_seconds", usual)
    if not isinstance(value, int) or not 900 <= value <= most:
        raise service.misuse(f"duration_seconds must be a whole number from 900 to {most}")
    return value


def by(method: str) -> Callable[[Call], bool]:
    """Return whether a request says that it identifies its sender by `method` and nothing else."""
    return lambda call: _identity(call).get("methods") == [method]


def names_token(call: Call) -> bool:
    """Return whether the token to go by is in the body."""
    token = _identity(call).get("token")
    return by("token")(call) and isinstance(token, dict) and token.get("id") is not None


def _identity(call: Call) -> Mapping[str, Any]:
    # Ahead of all checks, so anything may come: what can't be read is for the operation itself to refuse.
    try:
        value = call.document
    except (ValueError, RecursionError):
        return {}
    for key in ("auth", "identity"):
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}
