"""IAM: projects and the account by name, tokens for a password, and (of its sibling STS) who the caller is."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from airflow_provider_cloudsync.emulator.account import Project
from airflow_provider_cloudsync.emulator.messages import Call, Refused, Reply
from airflow_provider_cloudsync.emulator.reading import Reader
from airflow_provider_cloudsync.emulator.service import Operation, Service

TITLES = {400: "Bad Request", 401: "Unauthorized", 403: "Forbidden"}


class Iam(Service):
    """Its resources are the account itself, so it has no section of the scenario for itself."""

    name = "iam"
    id_header = "X-IAM-Trace-Id"

    def load(self, section: Reader) -> None:
        """Nothing to build."""

    def state(self) -> dict[str, Any]:
        """The account, without secrets."""
        return self.account.state()

    def misuse(self, text: str) -> Refused:
        """IAM's 400."""
        return self._refusal(400, text)

    @staticmethod
    def _refusal(status: int, text: str) -> Refused:
        return Refused(Reply({"error": {"code": status, "message": text, "title": TITLES[status]}}, status))

    def list_projects(self, call: Call) -> Reply:
        """The projects that match the filters."""
        projects = self.account.projects
        if (name := call.asked("name")) is not None:
            projects = [each for each in projects if each.name == name]
        # The account is the only parent that there is.
        if any(call.asked(key) not in (None, self.account.domain_id) for key in ("domain_id", "parent_id")):
            projects = []
        if (enabled := call.asked("enabled")) is not None:
            if enabled not in ("true", "false"):
                raise self.misuse("enabled must be true or false")
            projects = [each for each in projects if each.enabled == (enabled == "true")]
        if (call.asked("page") is None) != (call.asked("per_page") is None):
            raise self.misuse("page and per_page belong together")
        page = self.whole_query(call, "page", 1, 1, 10**9)
        size = self.whole_query(call, "per_page", 5000, 1, 5000)
        shown = projects[(page - 1) * size : page * size]
        return Reply({"projects": [self._project(each) for each in shown], "links": _links(call.path)})

    def list_auth_projects(self, call: Call) -> Reply:
        """The projects that the sender may use."""
        projects = [self._project(each) for each in self.account.projects if each.enabled]
        return Reply({"projects": projects, "links": _links(call.path)})

    def list_auth_domains(self, call: Call) -> Reply:
        """The account; some callers get an empty list, and have to ask for their identity instead."""
        domain = {"id": self.account.domain_id, "name": self.account.domain_name, "enabled": True}
        domains = [{**domain, "description": "", "links": {}}] if self.account.lists_domains else []
        return Reply({"domains": domains, "links": _links(call.path)})

    def show_caller(self, call: Call) -> Reply:
        """Who the sender is."""
        account = self.account
        return Reply(
            {
                "account_id": account.domain_id,
                "principal_id": account.user_id,
                "principal_urn": f"iam::{account.domain_id}:user:{account.user}",
            }
        )

    def _project(self, project: Project) -> dict[str, Any]:
        domain = self.account.domain_id
        fixed = {"domain_id": domain, "parent_id": domain, "is_domain": False, "description": "", "links": {}}
        return {"id": project.id, "name": project.name, "enabled": project.enabled, **fixed}

    def create_token(self, call: Call) -> Reply:
        """A token for a password, for a project or for the account."""
        auth = self._object(self.json_body(call), "auth")
        identity = self._object(auth, "identity")
        if identity.get("methods") != ["password"]:
            raise self.misuse('identity.methods must be ["password"]')
        user = self._object(self._object(identity, "password"), "user")
        domain = self._object(user, "domain").get("name")
        known = (self.account.user, self.account.domain_name, self.account.password)
        sent = (user.get("name"), domain, user.get("password"))
        if not all(isinstance(text, str) for text in sent):
            raise self.misuse("the user needs name, password and domain.name, all of them text")
        if not all(
            hmac.compare_digest(str(ours).encode(), str(theirs).encode())
            for ours, theirs in zip(known, sent, strict=True)
        ):
            raise self._refusal(401, "The username or password is wrong.")
        project = self._scope(auth)
        token = self.account.issue_token(project.id if project else None, self.clock.now())
        body: dict[str, Any] = {
            "methods": ["password"],
            "issued_at": _time(token.issued),
            "expires_at": _time(token.expires),
            "user": {"id": self.account.user_id, "name": self.account.user, "domain": self._domain()},
            "roles": [{"id": "0", "name": "te_admin"}],
            "catalog": [],
        }
        if project:
            body["project"] = {"id": project.id, "name": project.name, "domain": self._domain()}
        else:
            body["domain"] = self._domain()
        return Reply({"token": body}, 201, {"X-Subject-Token": token.value})

    def _domain(self) -> dict[str, str]:
        return {"id": self.account.domain_id, "name": self.account.domain_name}

    def _scope(self, auth: Mapping[str, Any]) -> Project | None:
        scope = self._object(auth, "scope")
        if ("project" in scope) == ("domain" in scope):
            raise self.misuse("scope must hold either project or domain")
        kind = "project" if "project" in scope else "domain"
        wanted = self._object(scope, kind)
        key = "id" if "id" in wanted else "name"
        if not isinstance(wanted.get(key), str):
            raise self.misuse(f"scope.{kind} must hold id or name")
        if kind == "domain":
            if wanted[key] != self._domain()[key]:
                raise self._refusal(401, "The account of the scope is not the user's.")
            return None
        found = [each for each in self.account.projects if getattr(each, key) == wanted[key]]
        if len(found) != 1 or not found[0].enabled:
            raise self._refusal(401, "The project of the scope can't be used.")
        return found[0]

    def _object(self, parent: Mapping[str, Any], key: str) -> dict[str, Any]:
        value = parent.get(key)
        if not isinstance(value, dict):
            raise self.misuse(f"{key} must be an object")
        return value

    operations = (
        Operation("KeystoneListProjects", "GET", "/v3/projects", list_projects),
        Operation("KeystoneListAuthProjects", "GET", "/v3/auth/projects", list_auth_projects),
        Operation("KeystoneListAuthDomains", "GET", "/v3/auth/domains", list_auth_domains),
        Operation("GetCallerIdentity", "GET", "/v5/caller-identity", show_caller),
        Operation("KeystoneCreateUserTokenByPassword", "POST", "/v3/auth/tokens", create_token, public=True),
    )


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _links(path: str) -> dict[str, str | None]:
    return {"self": path, "previous": None, "next": None}
