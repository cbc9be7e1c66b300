"""IAM: projects and account of the connection's user."""

from __future__ import annotations

from typing import Any, NotRequired, TypedDict

from airflow_provider_cloudsync.api.endpoints import near_region, regions_known, unknown_region
from airflow_provider_cloudsync.api.flows import Cloud, call
from airflow_provider_cloudsync.api.messages import MAX_LIST_REPLY, Flow, Request, SingleFlight
from airflow_provider_cloudsync.api.page_rows import Listing
from airflow_provider_cloudsync.api.pages import complete_list
from airflow_provider_cloudsync.api.parameters import is_id
from airflow_provider_cloudsync.api.replies import Reply
from airflow_provider_cloudsync.exceptions import ApiError, InvalidConnection, UnreadableReply

#: Seconds for which a project or an account is cached.
_AGE = 3600.0
#: IAM pages a list only on request; up to 5,000 projects per page.
_PROJECTS = Listing(
    "projects", "id", "projects", 1000, total="", size="per_page", position="page", numbered=True
)
#: Lists the projects of the user; needs no permission.
OWN_PROJECTS = Request(
    "GET", "iam", "KeystoneListAuthProjects", "/v3/auth/projects", repeatable=True, max_reply=MAX_LIST_REPLY
)


class Project(TypedDict):
    """Project of the account."""

    id: str
    name: str
    domain_id: NotRequired[str]
    enabled: NotRequired[bool]


def list_projects(cloud: Cloud, name: str) -> Flow[list[Project]]:
    """Return the projects of a name (KeystoneListProjects). The main project of a region has the region's name."""
    request = Request(
        "GET",
        "iam",
        "KeystoneListProjects",
        "/v3/projects",
        repeatable=True,
        query=(("name", name),),
        max_reply=MAX_LIST_REPLY,
    )
    reply = yield from call(cloud, request)
    if not _is_part(reply):
        return projects_in(reply)
    listed = yield from complete_list(cloud, request, _PROJECTS)
    return _checked(list(listed.rows.values()), reply.request_id)


def _is_part(reply: Reply) -> bool:
    """Return whether the reply states that more pages follow."""
    data = reply.data if isinstance(reply.data, dict) else {}
    links = data.get("links")
    return bool(data.get("truncated") or (isinstance(links, dict) and links.get("next")))


def projects_in(reply: Reply) -> list[Project]:
    """Return the projects in a reply, each once."""
    projects = _checked(reply.field("projects", list), reply.request_id)
    return list({project["id"]: project for project in projects}.values())


def _checked(projects: list[Any], request_id: str) -> list[Project]:
    for project in projects:
        # The ID becomes part of paths, so it is checked.
        if not (
            isinstance(project, dict) and isinstance(project.get("name"), str) and is_id(project.get("id"))
        ):
            raise UnreadableReply(
                f"Unusable project in the reply of IAM. [request ID {request_id or 'unknown'}]"
            )
    return projects


def find_project(cloud: Cloud) -> Flow[str]:
    """Return the ID of the region's project. Concurrent callers share the look-up.

    :raises InvalidConnection: unless exactly one project is found.
    """
    project_id: str = yield SingleFlight(("project", cloud.scope), lambda: _find(cloud), max_age=_AGE)
    return project_id


def _find(cloud: Cloud) -> Flow[str]:
    if not cloud.region:
        raise InvalidConnection(
            "No project and no region in the connection. "
            'Set "project_id" in its Extra ("region" too, unless it has an endpoint).'
        )
    try:
        projects = yield from list_projects(cloud, cloud.region)
    except ApiError as error:
        if error.status == 403:
            error.add_prefix(
                f'The project of region "{cloud.region}" cannot be looked up: this user may not list projects. Set '
                '"project_id" in the connection\'s Extra (console: My Credentials, API Credentials)'
            )
        raise
    # Exact match: the service may match prefixes, and sub-projects have names like "cn-north-4_dev".
    found = [project["id"] for project in projects if project["name"] == cloud.region]
    if len(found) == 1:
        return found[0]
    unknown = ""
    if cloud.region not in regions_known() and near_region(cloud.region):
        unknown = unknown_region(cloud.region, cloud.region_source) + " "
    how_many = f"{len(found)} projects ({', '.join(found[:5])})" if found else "no project"
    raise InvalidConnection(
        f'{unknown}IAM returned {how_many} named "{cloud.region}" ({cloud.region_source}) for this user. Set '
        '"project_id" in the connection\'s Extra (console: My Credentials, API Credentials), or pass project_id= '
        "together with region= to the task."
    )


def find_domain(cloud: Cloud) -> Flow[str]:
    """Return the ID of the account of the connection's user. Concurrent callers share the look-up.

    :raises InvalidConnection: unless exactly one account is found.
    """
    domain_id: str = yield SingleFlight(("domain", cloud.scope), lambda: _find_domain(cloud), max_age=_AGE)
    return domain_id


def _find_domain(cloud: Cloud) -> Flow[str]:
    request = Request("GET", "iam", "KeystoneListAuthDomains", "/v3/auth/domains", repeatable=True)
    try:
        reply = yield from call(cloud, request)
    except ApiError as error:
        if error.status == 403:
            error.add_prefix(
                'The account cannot be looked up: this user may not list accounts. Set "domain_id" in '
                "the connection's Extra (console: My Credentials, Account ID)"
            )
        raise
    shown = [
        each["id"]
        for each in reply.field("domains", list)
        if isinstance(each, dict) and is_id(each.get("id"))
    ]
    domains = shown or (yield from _ask_sts(cloud))
    if len(domains) != 1:
        raise InvalidConnection(
            f'IAM returned {len(domains) or "no"} accounts for this user. Set "domain_id" in the connection\'s Extra '
            "(console: My Credentials, Account ID)."
        )
    return str(domains[0])


def _ask_sts(cloud: Cloud) -> Flow[list[str]]:
    """Return the account from STS, as the vendor's client does if IAM returns none. Not every region has STS."""
    try:
        cloud.url("sts")
    except InvalidConnection:
        return []
    request = Request("GET", "sts", "GetCallerIdentity", "/v5/caller-identity", repeatable=True)
    account = (yield from call(cloud, request)).field("account_id", str)
    return [account] if is_id(account) else []
