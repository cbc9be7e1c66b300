"""The cloud account: its projects, keys, IAM users, and the tokens given out."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any

from airflow_provider_cloudsync.emulator.clock import instant
from airflow_provider_cloudsync.emulator.messages import Identity
from airflow_provider_cloudsync.emulator.reading import BadInput, Reader

DAY = 86_400.0


@dataclass(frozen=True)
class Project:
    """A project of the account; most regions have one that carries the region's name."""

    id: str
    name: str
    enabled: bool = True


@dataclass(frozen=True)
class Key:
    """An access key; with a security token it is a temporary one.

    :param expires: emulated time of its end, or None.
    """

    access_key: str
    secret_key: str
    security_token: str | None = None
    expires: float | None = None


@dataclass(frozen=True)
class Token:
    """What a password was traded for."""

    value: str
    identity: Identity
    issued: float
    expires: float


class Account:
    """Everything of the scenario that belongs to no single service."""

    def __init__(self, section: Reader, now: float) -> None:
        self.domain_id = section.text("domain_id")
        self.domain_name = section.text("domain_name")
        self.user = section.text("user")
        self.user_id = section.text("user_id", "0" * 32)
        self.password = section.text("password")
        self.region = section.text("region")
        self.token_seconds = section.number("token_seconds", DAY)
        self.projects = [_project(each) for each in section.children("projects")]
        self.keys = {key.access_key: key for key in (_key(each, now) for each in section.children("keys"))}
        self.groups_of = {name: each.names("groups") for name, each in _members(section).items()}
        self.groups = section.names("iam_groups")
        self.lists_domains = section.flag("lists_domains", True)
        self._tokens: dict[str, Token] = {}
        section.done()
        self._check(section)

    def _check(self, section: Reader) -> None:
        seen: set[str] = set()
        for index, project in enumerate(self.projects):
            if project.id in seen:
                raise BadInput(f"{section.at('projects')}[{index}].id {project.id!r} is there twice")
            seen.add(project.id)
        for user, groups in self.groups_of.items():
            for group in groups:
                if group not in self.groups:
                    raise BadInput(f"{section.at('iam_users')}.{user}.groups: {group!r} is not in iam_groups")

    @property
    def main_project(self) -> str:
        """The id of the project to work in: the region's, or the first, or none (an empty text)."""
        ids = [project.id for project in self.projects if project.name == self.region]
        ids += [project.id for project in self.projects]
        return ids[0] if ids else ""

    def project(self, project_id: str) -> Project | None:
        """The project of that id."""
        return next((each for each in self.projects if each.id == project_id), None)

    def issue_token(self, project_id: str | None, now: float) -> Token:
        """A new token of the account's user, for one project or (None) for the account as a whole."""
        identity = Identity(self.user, project_id, domain_scoped=project_id is None)
        # Real tokens are long enough to upset a proxy or a column; these are too.
        token = Token("MII" + secrets.token_urlsafe(1200), identity, now, instant(now + self.token_seconds))
        self._tokens[token.value] = token
        return token

    def holder(self, value: str, now: float) -> Identity | None:
        """Who a token stands for; None when it is unknown or has expired."""
        token = self._tokens.get(value)
        return token.identity if token and now < token.expires else None

    def state(self) -> dict[str, Any]:
        """The account as JSON, with no secret in it."""
        return {
            "domain_id": self.domain_id,
            "domain_name": self.domain_name,
            "user": self.user,
            "region": self.region,
            "projects": [vars(each) for each in self.projects],
            "iam_users": self.groups_of,
            "iam_groups": self.groups,
            "tokens": [
                {"issued": each.issued, "expires": each.expires, "project_id": each.identity.project_id}
                for each in self._tokens.values()
            ],
        }


def _project(reader: Reader) -> Project:
    project = Project(
        reader.text("id", reader.needed("id")), reader.text("name"), reader.flag("enabled", True)
    )
    reader.done()
    return project


def _key(reader: Reader, now: float) -> Key:
    ends = reader.number("expires_after", None)
    key = Key(
        reader.text("access_key", reader.needed("access_key")),
        reader.text("secret_key", reader.needed("secret_key")),
        reader.text("security_token", None),
        None if ends is None else instant(now + ends),
    )
    reader.done()
    return key


def _members(section: Reader) -> dict[str, Reader]:
    users = section.entries("iam_users")
    for each in users.values():
        each.names("groups")
        each.done()
    return users
