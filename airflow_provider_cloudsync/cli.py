"""``check``: where a connection leads and what is allowed there. From Airflow 3.2 on, ``airflow cloudsync check``.

Imported at each start of Airflow's command line, so it imports nothing itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse

_DESCRIPTION = (
    "Print, without secrets, which identity, account, project, region and endpoints a connection leads to, and for "
    "each service whether its user may read there. Sends harmless reads only. The exit status is 0 if all that was "
    "asked for is in order, 1 if something is not."
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
            "help": "a service to check; can be given several times (default: all)",
        },
        "--region": {"help": "overrides the connection's region"},
        "--project-id": {"help": "overrides the connection's project ID"},
    }


def get_commands() -> list[Any]:
    """What Airflow from 3.2 on adds to its command line."""
    from airflow.cli.cli_config import ActionCommand, Arg, GroupCommand, lazy_load_command

    check = ActionCommand(
        name="check",
        help="show where a connection leads and what is allowed there",
        description=_DESCRIPTION,
        func=lazy_load_command(f"{__name__}.check"),
        args=[Arg((name,), **options) for name, options in _options().items()],  # type: ignore[no-untyped-call]
    )
    return [GroupCommand(name="cloudsync", help="Huawei Cloud Sync", subcommands=(check,))]


def main(arguments: list[str] | None = None) -> int:
    """The command line of ``python -m airflow_provider_cloudsync``, for any Airflow."""
    import argparse

    parser = argparse.ArgumentParser(prog="python -m airflow_provider_cloudsync")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    command = commands.add_parser("check", help="see where a connection leads", description=_DESCRIPTION)
    for name, options in _options().items():
        command.add_argument(name, **options)
    return _check(parser.parse_args(arguments))


def check(arguments: argparse.Namespace) -> None:
    """What ``airflow cloudsync check`` does."""
    raise SystemExit(_check(arguments))


def _check(arguments: argparse.Namespace) -> int:
    import os

    # Airflow 3 looks connections up in its database for a server only; `airflow connections test` does the same.
    os.environ.setdefault("_AIRFLOW_PROCESS_CONTEXT", "server")
    from airflow_provider_cloudsync.api.checkup import Finding, examine
    from airflow_provider_cloudsync.api.services import NAMES
    from airflow_provider_cloudsync.exceptions import CloudSyncError
    from airflow_provider_cloudsync.hooks.cloudsync import CloudSyncHook

    def tell(finding: Finding) -> None:
        mark = {True: "ok", False: "FAILED", None: "--"}[finding.ok]
        print(f"{mark:<7}{finding.step:<11}{finding.text}", flush=True)  # noqa: T201 (what a command is for)

    hook = CloudSyncHook(arguments.conn_id, region=arguments.region, project_id=arguments.project_id)
    try:
        cloud = hook.cloud
        tell(Finding("connection", None, arguments.conn_id))
        tell(Finding("region", None, cloud.region or "none"))
        findings = hook.run(examine(cloud, arguments.service or NAMES, tell))
    except CloudSyncError as error:
        tell(Finding("connection", False, error.message))
        return 1
    return int(any(finding.ok is False for finding in findings))
