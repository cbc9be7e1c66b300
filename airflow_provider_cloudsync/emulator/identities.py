"""Who a request comes from, once that is proven."""

from __future__ import annotations

from dataclasses import dataclass, replace
from uuid import NAMESPACE_URL, uuid5

from airflow_provider_cloudsync.emulator.domains import Domain


@dataclass(frozen=True)
class Identity:
    """A user, or a session of an agency, and what its credentials are good for.

    :param user: the name of the IAM user, or of the agency.
    :param domain: the account that it acts in; that of an agency is another than the caller's own.
    :param session: the name of a session, of who acts as an agency.
    :param assumed_by: who took the agency on.
    :param project_id: the only project that a token is good for; None for keys, which are good for all.
    :param domain_scoped: the token is for the account as a whole, hence for global services only.
    :param unscoped: the token is good for neither; it can only be traded.
    """

    user: str
    user_id: str
    domain: Domain
    session: str | None = None
    assumed_by: Identity | None = None
    project_id: str | None = None
    domain_scoped: bool = False
    unscoped: bool = False

    @property
    def urn(self) -> str:
        """The name that is unique in the cloud."""
        if self.session is None:
            return f"iam::{self.domain.id}:user:{self.user}"
        return f"sts::{self.domain.id}:assumed-agency:{self.user}/{self.session}"

    def for_project(self, project_id: str | None) -> Identity:
        """The same one with a token for a project or (None) for the account as a whole."""
        return replace(self, project_id=project_id, domain_scoped=project_id is None, unscoped=False)

    def for_nothing(self) -> Identity:
        """The same one with a token that has no scope."""
        return replace(self, project_id=None, domain_scoped=False, unscoped=True)

    def for_keys(self) -> Identity:
        """The same one with keys, whose requests say themselves for whom they are."""
        return replace(self, project_id=None, domain_scoped=False, unscoped=False)


def agency_session(agency: str, domain: Domain, session: str, assumed_by: Identity | None = None) -> Identity:
    """A session of the agency of that name."""
    user_id = uuid5(NAMESPACE_URL, f"{domain.id}/agencies/{agency}").hex
    return Identity(agency, user_id, domain, session, assumed_by)
