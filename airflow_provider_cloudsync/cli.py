"""Command ``check``: identity, endpoints and permissions of a connection.

Airflow from 3.2 has it as ``airflow cloudsync check``.

It imports nothing at the top, since each start of Airflow's command line imports it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse

_DESCRIPTION = (
    "Print identity, account, project, region and endpoints of a connection, without secrets, and for each service "
    "whether its user may read there. Sends read requests only. The exit status is 0 if all checks pass, else 1."
)


def _options() -> dict[str, dict[str, Any]]:
    from airflow_provider_cloudsync.api.services import NAMES

    return {
        "--conn-id": {
            "default": "cloudsync_default",
            "help": "the Airflow connection (default: %(default)s)",
        },
        "--service": {
            "action": "append",
            "choices": NAMES,
            "help": "service to check; repeatable (default: all)",
        },
        "--region": {"help": "overrides the connection's region"},
        "--project-id": {"help": "overrides the connection's project ID"},
    }


def get_commands() -> list[Any]:
    """Return the commands that Airflow from 3.2 adds to its command line."""
    from airflow.cli.cli_config import ActionCommand, Arg, GroupCommand, lazy_load_command

    check = ActionCommand(
        name="check",
        help="check identity, endpoints and permissions of a connection",
        description=_DESCRIPTION,
        func=lazy_load_command(f"{__name__}.check"),
        args=[Arg((name,), **options) for name, options in _options().items()],  # type: ignore[no-untyped-call]
    )
    return [GroupCommand(name="cloudsync", help="Huawei Cloud Sync", subcommands=(check,))]


def main(arguments: list[str] | None = None) -> int:
    """Run ``python -m airflow_provider_cloudsync``, for any Airflow version."""
    import argparse

    parser = argparse.ArgumentParser(prog="python -m airflow_provider_cloudsync")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    command = commands.add_parser(
        "check", help="check identity, endpoints and permissions of a connection", description=_DESCRIPTION
    )
    for name, options in _options().items():
        command.add_argument(name, **options)
    return _check(parser.parse_args(arguments))


def check(arguments: argparse.Namespace) -> None:
    """Run ``airflow cloudsync check``."""
    raise SystemExit(_check(arguments))


def _check(arguments: argparse.Namespace) -> int:
    import os

    # Airflow 3 reads connections from its database in server processes only. `airflow connections test` does the same.
    os.environ.setdefault("_AIRFLOW_PROCESS_CONTEXT", "server")
    from airflow_provider_cloudsync.api.checkup import Finding, examine
    from airflow_provider_cloudsync.api.services import NAMES
    from airflow_provider_cloudsync.exceptions import CloudSyncError
    from airflow_provider_cloudsync.hooks.cloudsync import CloudSyncHook

    def print_finding(finding: Finding) -> None:
        mark = {True: "ok", False: "FAILED", None: "--"}[finding.ok]
        print(f"{mark:<7}{finding.step:<11}{finding.text}", flush=True)  # noqa: T201 (output of a command)

    hook = CloudSyncHook(arguments.conn_id, region=arguments.region, project_id=arguments.project_id)
    try:
        cloud = hook.cloud
        print_finding(Finding("connection", None, arguments.conn_id))
        print_finding(Finding("region", None, cloud.region or "none"))
        findings = hook.run(examine(cloud, arguments.service or NAMES, print_finding))
    except CloudSyncError as error:
        print_finding(Finding("connection", False, error.message))
        return 1
    return int(any(finding.ok is False for finding in findings))
