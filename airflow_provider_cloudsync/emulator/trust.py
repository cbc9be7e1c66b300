"""Whom accounts trust: agencies that others may act as, and identity providers whose tokens count."""

from __future__ import annotations

import hmac
from dataclasses import dataclass

from airflow_provider_cloudsync.emulator.domains import Domain, read_projects
from airflow_provider_cloudsync.emulator.identities import Identity
from airflow_provider_cloudsync.emulator.reading import BadInput, Reader


@dataclass(frozen=True)
class Agency:
    """What an account lets others do in it.

    :param domain: that account, with the projects that the agency may use.
    :param trusts: names of users, and names or ids of accounts.
    """

    name: str
    domain: Domain
    trusts: frozenset[str]

    @property
    def urn(self) -> str:
        """The name that is unique in the cloud."""
        return f"iam::{self.domain.id}:agency:{self.name}"

    def admits(self, caller: Identity) -> bool:
        """Return whether `caller` may act as this agency."""
        return not self.trusts.isdisjoint((caller.user, caller.domain.name, caller.domain.id))


@dataclass(frozen=True)
class IdentityProvider:
    """An OpenID Connect provider that the account knows; instead of keys it has the texts that it would sign.

    :param agency_urns: the agencies that its users may act as.
    """

    id: str
    urn: str
    id_tokens: tuple[str, ...]
    agency_urns: tuple[str, ...]

    def vouches_for(self, id_token: str) -> bool:
        """Return whether the token is one of its own."""
        sent = id_token.encode(errors="replace")
        return any(hmac.compare_digest(each.encode(), sent) for each in self.id_tokens)


def read_agencies(section: Reader, own: Domain) -> list[Agency]:
    """The list ``agencies`` of the scenario's account."""
    agencies: list[Agency] = []
    for reader in section.children("agencies"):
        domain = own
        name = reader.text("name", reader.needed("name"))
        if "domain_id" in reader or "domain_name" in reader:
            domain_id = reader.text("domain_id", reader.needed("domain_id"))
            domain = Domain(domain_id, reader.text("domain_name", domain_id), read_projects(reader))
        agency = Agency(name, domain, frozenset(reader.names("trusts", [own.name])))
        reader.done()
        if agency.urn in [each.urn for each in agencies]:
            raise BadInput(f"{reader.at('name')}: {domain.name} has an agency {name!r} already")
        agencies.append(agency)
    return agencies


def read_providers(section: Reader) -> list[IdentityProvider]:
    """The list ``identity_providers`` of the scenario's account."""
    providers: list[IdentityProvider] = []
    for reader in section.children("identity_providers"):
        provider_id = reader.text("id", reader.needed("id"))
        if provider_id in [each.id for each in providers]:
            raise BadInput(f"{reader.at('id')} {provider_id!r} is there twice")
        provider = IdentityProvider(
            provider_id,
            reader.text("urn", f"iam:::oidcProvider:{provider_id}"),
            tuple(reader.names("id_tokens")),
            tuple(reader.names("agency_urns")),
        )
        reader.done()
        providers.append(provider)
    return providers
