"""IAM: projects and the account by name, tokens, and temporary keys."""

from __future__ import annotations

from typing import Any

from airflow_provider_cloudsync.emulator.domains import Domain, Project
from airflow_provider_cloudsync.emulator.messages import Call, Refused, Reply
from airflow_provider_cloudsync.emulator.reading import Reader
from airflow_provider_cloudsync.emulator.service import Operation, Service
from airflow_provider_cloudsync.emulator.services import iam_keys, iam_tokens
from airflow_provider_cloudsync.emulator.services.iam_words import by, names_token, refusal


class Iam(Service):
    """Its resources are the account itself, so it has no section of the scenario for itself."""

    name = "iam"
    id_header = "X-IAM-Trace-Id"
    # Unconfirmed for the lists: who has such a token may have to look at them to find a scope.
    takes_unscoped = True

    def load(self, section: Reader) -> None:
        """Nothing to build."""

    def state(self) -> dict[str, Any]:
        """The account, without secrets."""
        return self.account.state()

    def misuse(self, text: str) -> Refused:
        """IAM's 400."""
        return refusal(400, text)

    def denial(self, call: Call, operation: Operation) -> Refused:
        """IAM's 403."""
        return refusal(403, "You are not authorized to perform the requested action.")

    def list_projects(self, call: Call) -> Reply:
        """The projects that match the filters."""
        domain = call.caller.domain
        projects = list(domain.projects)
        if (name := call.asked("name")) is not None:
            projects = [each for each in projects if each.name == name]
        # The account is the only parent that there is.
        if any(call.asked(key) not in (None, domain.id) for key in ("domain_id", "parent_id")):
            projects = []
        if (enabled := call.asked("enabled")) is not None:
            if enabled not in ("true", "false"):
                raise self.misuse("enabled must be true or false")
            projects = [each for each in projects if each.enabled == (enabled == "true")]
        if (call.asked("page") is None) != (call.asked("per_page") is None):
            raise self.misuse("page and per_page belong together")
        page = self.whole_query(call, "page", 1, 1, 10**9)
        size = self.whole_query(call, "per_page", 5000, 1, 5000)
        shown = [_row(domain, each) for each in projects[(page - 1) * size : page * size]]
        return Reply({"projects": shown, "links": _links(call.path)})

    def list_auth_projects(self, call: Call) -> Reply:
        """The projects that the sender may use."""
        domain = call.caller.domain
        projects = [_row(domain, each) for each in domain.projects if each.enabled]
        return Reply({"projects": projects, "links": _links(call.path)})

    def list_auth_domains(self, call: Call) -> Reply:
        """The account; some callers get an empty list, and have to ask for their identity instead."""
        domain = {**call.caller.domain.brief(), "enabled": True, "description": "", "links": {}}
        domains = [domain] if self.account.lists_domains else []
        return Reply({"domains": domains, "links": _links(call.path)})

    _tokens = "/v3/auth/tokens"
    _keys = "/v3.0/OS-CREDENTIAL/securitytokens"
    operations = (
        Operation("KeystoneListProjects", "GET", "/v3/projects", list_projects),
        Operation("KeystoneListAuthProjects", "GET", "/v3/auth/projects", list_auth_projects),
        Operation("KeystoneListAuthDomains", "GET", "/v3/auth/domains", list_auth_domains),
        Operation("KeystoneValidateToken", "GET", _tokens, iam_tokens.show),
        Operation(
            "KeystoneCreateAgencyToken",
            "POST",
            _tokens,
            iam_tokens.create_by_agency,
            chosen=by("assume_role"),
        ),
        Operation(
            "KeystoneCreateUserTokenByPassword", "POST", _tokens, iam_tokens.create_by_password, public=True
        ),
        Operation(
            "CreateTokenWithIdToken",
            "POST",
            "/v3.0/OS-AUTH/id-token/tokens",
            iam_tokens.create_by_id_token,
            public=True,
        ),
        Operation(
            "CreateTemporaryAccessKeyByAgency",
            "POST",
            _keys,
            iam_keys.create_for_agency,
            chosen=by("assume_role"),
        ),
        Operation(
            "CreateTemporaryAccessKeyByToken",
            "POST",
            _keys,
            iam_keys.create_for_token,
            public=True,
            chosen=names_token,
        ),
        Operation("CreateTemporaryAccessKeyByToken", "POST", _keys, iam_keys.create_for_sender),
    )


def _row(domain: Domain, project: Project) -> dict[str, Any]:
    fixed = {
        "domain_id": domain.id,
        "parent_id": domain.id,
        "is_domain": False,
        "description": "",
        "links": {},
    }
    return {"id": project.id, "name": project.name, "enabled": project.enabled, **fixed}


def _links(path: str) -> dict[str, str | None]:
    return {"self": path, "previous": None, "next": None}
