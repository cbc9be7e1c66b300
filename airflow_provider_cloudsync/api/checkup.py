"""Where a connection leads, and what is allowed there: looked at step by step, with harmless reads only."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from airflow_provider_cloudsync.api.credentials import KeyPair
from airflow_provider_cloudsync.api.endpoints import ACCOUNT_WIDE
from airflow_provider_cloudsync.api.flows import Cloud, call
from airflow_provider_cloudsync.api.messages import Flow
from airflow_provider_cloudsync.api.model import Probe
from airflow_provider_cloudsync.api.redaction import redact
from airflow_provider_cloudsync.api.replies import MOST_SKEW, ODD_SKEW, apart
from airflow_provider_cloudsync.api.services import NAMES, find_probe
from airflow_provider_cloudsync.api.services.iam import OWN_PROJECTS, find_domain, projects_in
from airflow_provider_cloudsync.api.text import one_line
from airflow_provider_cloudsync.exceptions import (
    ApiError,
    CloudSyncError,
    CredentialsRejected,
    TransportError,
)

#: Somebody looks on: so long all of it may wait for others' calls that come first (seconds).
_PATIENCE = 10.0


@dataclass(frozen=True, slots=True)
class Finding:
    """Result of one step.

    :param ok: None where it can't be told.
    """

    step: str
    ok: bool | None
    text: str


Tell = Callable[[Finding], None]


def examine(cloud: Cloud, services: Iterable[str], tell: Tell = lambda finding: None) -> Flow[list[Finding]]:
    """Look at everything that a task needs of a connection.

    :param services: names in `airflow_provider_cloudsync.api.services.NAMES`.
    :param tell: called with each finding as soon as there is one.
    """
    findings: list[Finding] = []
    cloud = cloud.once().until(cloud.clock() + _PATIENCE)

    def note(step: str, ok: bool | None, text: str) -> None:
        # A name in a success may repeat even a short password, and all of this is shown.
        findings.append(Finding(step, ok, redact(text, cloud.credentials.secrets)))
        tell(findings[-1])

    note("identity", None, cloud.credentials.who)
    try:
        reply = yield from call(cloud, OWN_PROJECTS)
        projects = {
            one_line(project["id"], 100): one_line(project["name"], 100) for project in projects_in(reply)
        }
    except CredentialsRejected as error:
        note("sign-in", False, error.message)
        return findings  # every further request would be one more failure towards a lock
    except CloudSyncError as error:
        # Keys need no IAM where the project and the services' addresses are given, as in a private cloud.
        needed = cloud.project_id is None or not cloud.endpoints or not isinstance(cloud.credentials, KeyPair)
        note("sign-in", None if isinstance(error, TransportError) and not needed else False, error.message)
        projects = None
    else:
        note("sign-in", True, f"accepted by {cloud.url('iam')}")
        if reply.date is not None:
            _clock(cloud.clock() - reply.date, note)
    if projects is not None:
        yield from _account(cloud, note)
        cloud = _project(cloud, projects, note)
    for name in services:
        yield from _service(cloud, name, find_probe(name), note)
    return findings


def _clock(difference: float, note: Callable[..., None]) -> None:
    if abs(difference) > MOST_SKEW:
        note("clock", False, f"this machine is {apart(difference)}: signatures are refused. Set its clock.")
    else:
        note("clock", None if abs(difference) > ODD_SKEW else True, f"this machine is {apart(difference)}")


def _account(cloud: Cloud, note: Callable[..., None]) -> Flow[None]:
    if cloud.domain_id is not None:
        note("account", None, f"{cloud.domain_id}, as the connection says")
        return
    try:
        note("account", True, (yield from find_domain(cloud)))
    except CloudSyncError as error:
        note("account", None, f"not known, and needed for COC only. {error.message}")


def _project(cloud: Cloud, projects: dict[str, str], note: Callable[..., None]) -> Cloud:
    """The cloud with the project that tasks will work in, if it can be told."""
    has = f"It has: {', '.join(sorted(projects.values())[:10]) or 'none'}."
    if cloud.project_id is not None:
        name = projects.get(cloud.project_id)
        if name is None:
            note("project", False, f"Signed in, but the user has no project {cloud.project_id}. {has}")
        elif cloud.region is not None and name.split("_")[0] != cloud.region:
            note(
                "project",
                None if cloud.endpoint or cloud.endpoints else False,
                f'Signed in, but project {cloud.project_id} is "{name}", and the region is "{cloud.region}". '
                'Make the two agree, or leave "project_id" empty to have it looked up.',
            )
        else:
            note("project", True, f'{cloud.project_id} is "{name}"')
        return cloud
    if cloud.region is None:
        note(
            "project",
            False,
            "Signed in, but the connection names neither a region nor a project. "
            'Put "region" or "project_id" into Extra.',
        )
        return cloud
    of_region = [each for each, name in projects.items() if name == cloud.region]
    if not of_region:
        note(
            "project",
            False,
            f'Signed in, but no project of its user is named "{cloud.region}": correct "region", or put the id of a '
            f'project into Extra as "project_id". {has}',
        )
        return cloud
    if len(of_region) != 1:
        note(
            "project",
            False,
            f'Signed in, but {len(of_region)} projects of its user are named "{cloud.region}". '
            f'Put the right one into Extra as "project_id". {has}',
        )
        return cloud
    note("project", True, f'{of_region[0]}, the one of region "{cloud.region}"')
    return replace(cloud, project_id=of_region[0])


def _service(cloud: Cloud, name: str, probe: Probe, note: Callable[..., None]) -> Flow[None]:
    service = probe.request.service
    if cloud.project_id is None and service not in ACCOUNT_WIDE:
        note(name, None, "not asked, since the project is not known")
        return
    try:
        where = cloud.url(service)
        yield from call(cloud, probe.request)
    except ApiError as error:
        note(name, *_verdict(error, probe, where))
    except CloudSyncError as error:
        note(name, False, error.message)
    else:
        note(name, True, f"allowed at {where}")


def _verdict(error: ApiError, probe: Probe, where: str) -> tuple[bool | None, str]:
    if error.code in probe.unsure:
        return None, f"answers at {where}, which shows no permission yet. What is needed: {probe.needs}"
    if not error.has_service_code:
        # An intermediary may have replied, which says nothing about permissions or quotas.
        return False, error.message
    if error.status == 403 or error.code in probe.denied:
        return False, f"not allowed at {where}. Ask for: {probe.needs}. ({error.message})"
    if error.status == 429:
        return False, f"not told, since {where} is asked too often just now. ({error.message})"
    return False, error.message


def verdict(findings: Iterable[Finding]) -> tuple[bool, str]:
    """All in one line, for a form: good unless signing in or the project fails. Hardly anybody needs all services."""
    found = list(findings)
    before = [each for each in found if each.step not in NAMES]
    failed = next((each for each in before if each.ok is False), None)
    if failed is not None:
        return False, f"{failed.step}: {failed.text}"
    services = [each for each in found if each.step in NAMES]
    allowed = ", ".join(each.step for each in services if each.ok) or "none"
    others = "".join(f" {each.step}: {one_line(each.text, 200)}" for each in services if not each.ok)
    told = "; ".join(f"{each.step}: {each.text}" for each in before)
    return True, f"Signed in. {told}. Allowed: {allowed}.{others}"
