"""The cloud account: its projects, keys, IAM users, and whom it trusts."""

from __future__ import annotations

from typing import Any

from airflow_provider_cloudsync.emulator.clock import Clock, instant
from airflow_provider_cloudsync.emulator.credentials import Credentials, Key
from airflow_provider_cloudsync.emulator.domains import Domain, read_projects
from airflow_provider_cloudsync.emulator.identities import Identity, agency_session
from airflow_provider_cloudsync.emulator.passwords import Passwords
from airflow_provider_cloudsync.emulator.reading import BadInput, Reader
from airflow_provider_cloudsync.emulator.trust import Agency, read_agencies, read_providers

DAY = 86_400.0


class Account:
    """Everything of the scenario that belongs to no single service."""

    def __init__(self, section: Reader, clock: Clock) -> None:
        self.domain = Domain(section.text("domain_id"), section.text("domain_name"), read_projects(section))
        self.user = section.text("user")
        self.user_id = section.text("user_id", "0" * 32)
        self.password = section.text("password")
        self.region = section.text("region")
        self.identity = Identity(self.user, self.user_id, self.domain)
        self.passwords = Passwords(section, (self.user, self.domain.name, self.password), clock)
        self.credentials = Credentials(
            clock,
            [_key(each, self.identity, clock) for each in section.children("keys")],
            section.number("token_seconds", DAY),
            [instant(clock.started + each) for each in section.numbers("revoke_tokens_at")],
        )
        self.agencies = read_agencies(section, self.domain)
        self.identity_providers = read_providers(section)
        self.groups_of = {name: each.names("groups") for name, each in _members(section).items()}
        self.groups = section.names("iam_groups")
        self.lists_domains = section.flag("lists_domains", True)
        self.denied_actions = section.names("denied_actions")
        section.done()
        for user, groups in self.groups_of.items():
            for group in groups:
                if group not in self.groups:
                    raise BadInput(f"{section.at('iam_users')}.{user}.groups: {group!r} is not in iam_groups")

    @property
    def domain_id(self) -> str:
        """The account's id."""
        return self.domain.id

    @property
    def main_project(self) -> str:
        """The id of the project to work in: the region's, or the first, or none (an empty text)."""
        projects = self.domain.projects
        ids = [project.id for project in projects if project.name == self.region]
        ids += [project.id for project in projects]
        return ids[0] if ids else ""

    def agency(self, name: str, key: str, domain: str) -> Agency | None:
        """The agency of that name, of the account whose `key` (``id`` or ``name``) is `domain`."""
        found = (each for each in self.agencies if each.name == name and each.domain.brief()[key] == domain)
        return next(found, None)

    def session_of(self, agency_urn: str, session: str) -> Identity:
        """A session of the agency of that name. One that the scenario does not list is the account's own."""
        listed = next((each for each in self.agencies if each.urn == agency_urn), None)
        name = agency_urn.rpartition(":")[2]
        return agency_session(name, listed.domain if listed else self.domain, session)

    def state(self) -> dict[str, Any]:
        """The account as JSON, with no secret in it."""
        return {
            "domain_id": self.domain.id,
            "domain_name": self.domain.name,
            "user": self.user,
            "region": self.region,
            "projects": [vars(each) for each in self.domain.projects],
            "iam_users": self.groups_of,
            "iam_groups": self.groups,
            "agencies": [each.urn for each in self.agencies],
            "identity_providers": [each.id for each in self.identity_providers],
            "tokens": self.credentials.tokens(),
        }


def _key(reader: Reader, identity: Identity, clock: Clock) -> Key:
    ends = reader.number("expires_after", None)
    key = Key(
        reader.text("access_key", reader.needed("access_key")),
        reader.text("secret_key", reader.needed("secret_key")),
        identity,
        reader.text("security_token", None),
        None if ends is None else instant(clock.credential_now() + ends),
    )
    reader.done()
    return key


def _members(section: Reader) -> dict[str, Reader]:
    users = section.entries("iam_users")
    for each in users.values():
        each.names("groups")
        each.done()
    return users
