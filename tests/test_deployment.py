"""What a team takes to deploy: the files fit each other, this Airflow, and the guide."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import yaml
from airflow.configuration import conf

from tests.e2e import compose

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs/deployment"
GUIDE = (ROOT / "docs/deployment.md").read_text(encoding="utf-8")
COMPOSE = yaml.safe_load(compose.FILE.read_text(encoding="utf-8"))
HELM = yaml.safe_load((FOLDER / "helm-values.yaml").read_text(encoding="utf-8"))
DOCKERFILE = (FOLDER / "Dockerfile").read_text(encoding="utf-8")

NEWEST = re.search(r'NEWEST, OLDEST = "([^"]+)"', (ROOT / "noxfile.py").read_text())[1]
#: Services that are no component of Airflow.
SERVERS = {"postgres", "redis"}
COMPONENTS = {"init", "api-server", "scheduler", "dag-processor", "triggerer", "worker"}
#: What compose.yaml takes from outside.
VARIABLES = {
    "POSTGRES_PASSWORD",
    "REDIS_PASSWORD",
    "FERNET_KEY",
    "API_SECRET_KEY",
    "JWT_SECRET",
    "AIRFLOW_CONN_CLOUDSYNC_DEFAULT",
}
#: Settings that the chart makes itself, of the secrets that it is given.
OF_THE_CHART = {
    "AIRFLOW__CORE__EXECUTOR",
    "AIRFLOW__CORE__LOAD_EXAMPLES",
    "AIRFLOW__CORE__FERNET_KEY",
    "AIRFLOW__CORE__EXECUTION_API_SERVER_URL",
    "AIRFLOW__API__SECRET_KEY",
    "AIRFLOW__API_AUTH__JWT_SECRET",
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN",
    "AIRFLOW__CELERY__BROKER_URL",
    "AIRFLOW__CELERY__RESULT_BACKEND",
}

SERVICES = compose.services({name: f"the-{name.lower().replace('_', '-')}" for name in VARIABLES})
SETTINGS = SERVICES["scheduler"].environment


def option(name: str) -> tuple[str, str]:
    """Section and key of a setting's variable."""
    _, section, key = name.split("__")
    return section.lower(), key.lower()


def chart_settings() -> Iterator[tuple[str, Any]]:
    """The settings of the chart's values, as compose.yaml spells them."""
    for section, keys in HELM["config"].items():
        for key, value in keys.items():
            yield f"AIRFLOW__{section}__{key}".upper(), value


def test_compose_holds_airflow_and_its_servers() -> None:
    assert SERVICES.keys() == SERVERS | COMPONENTS
    assert {name: SERVICES[name].replicas for name in ("triggerer", "worker")} == {
        "triggerer": 2,
        "worker": 2,
    }
    assert len({SERVICES[name].image for name in COMPONENTS}) == 1
    assert not set(COMPOSE) - {"name", "services", "volumes", "x-airflow"}


def test_what_a_service_names_is_there() -> None:
    for service in COMPOSE["services"].values():
        for name, wanted in service.get("depends_on", {}).items():
            how = wanted["condition"]
            assert how != "service_healthy" or "healthcheck" in COMPOSE["services"][name]
            assert how != "service_completed_successfully" or COMPOSE["services"][name]["restart"] != "always"
        for volume in service.get("volumes", ()):
            source = volume.partition(":")[0]
            assert source.startswith("$") or source in COMPOSE["volumes"]


def test_all_components_have_the_same_settings() -> None:
    for name in COMPONENTS:
        own = {key: value for key, value in SERVICES[name].environment.items() if key != "DUMB_INIT_SETSID"}
        assert own == SETTINGS, name


@pytest.mark.parametrize("name", sorted(VARIABLES))
def test_each_secret_has_to_be_given_and_is_in_the_guide(name: str) -> None:
    with pytest.raises(KeyError, match=name):
        compose.services(dict.fromkeys(VARIABLES - {name}, "x"))
    assert f'echo "{name}=' in GUIDE


def test_no_secret_is_in_a_file() -> None:
    text = compose.FILE.read_text(encoding="utf-8")
    for name in ("PASSWORD", "FERNET_KEY", "SECRET", "CONN_CLOUDSYNC"):
        for line in text.splitlines():
            if re.match(rf"\s*\w*{name}\w*:", line):
                assert "${" in line, line


def test_every_variable_is_in_the_guide() -> None:
    text = "\n".join(line.partition(" #")[0] for line in compose.FILE.read_text().splitlines())
    for name in re.findall(r"(?<!\$)\$\{(\w+)", text):
        assert name in GUIDE, name


@pytest.mark.parametrize("name", [name for name in SETTINGS if name.startswith("AIRFLOW__")])
def test_this_airflow_has_the_setting(name: str) -> None:
    section, key = option(name)
    if section == "celery":
        pytest.skip("its provider is only in the environment of make e2e-celery")
    if version("apache-airflow").startswith("2."):
        pytest.skip("the files are for the newest Airflow")
    assert key in conf.configuration_description[section]["options"]


def test_the_versions_are_those_of_the_tests() -> None:
    assert f"FROM apache/airflow:{NEWEST}\n" in DOCKERFILE
    assert SERVICES["worker"].image == f"airflow-cloudsync:{NEWEST}"
    assert {HELM["airflowVersion"], HELM["defaultAirflowTag"], HELM["images"]["airflow"]["tag"]} == {NEWEST}


def test_what_the_image_copies_is_there() -> None:
    copied = re.findall(r"^COPY --chown=airflow:0 (.+) \S+$", DOCKERFILE, re.MULTILINE)
    assert {"pyproject.toml", "airflow_provider_cloudsync"} <= set(" ".join(copied).split())
    for name in " ".join(copied).split():
        assert (ROOT / name).exists(), name


def test_the_chart_is_given_the_settings_of_compose() -> None:
    assert HELM["executor"] == SETTINGS["AIRFLOW__CORE__EXECUTOR"]
    wanted = {name: value for name, value in SETTINGS.items() if name.startswith("AIRFLOW__")}
    assert dict(chart_settings()) == {k: v for k, v in wanted.items() if k not in OF_THE_CHART}
    assert HELM["triggerer"]["replicas"] == SERVICES["triggerer"].replicas
    assert HELM["workers"]["celery"]["replicas"] == SERVICES["worker"].replicas
    minutes = int(COMPOSE["services"]["worker"]["stop_grace_period"].removesuffix("m"))
    assert HELM["workers"]["celery"]["terminationGracePeriodSeconds"] == 60 * minutes
    assert {each["envName"] for each in HELM["secret"]} == VARIABLES & SETTINGS.keys()


def test_the_guide_gives_the_figures_of_the_files() -> None:
    for name in (
        "CELERY__WORKER_CONCURRENCY",
        "CORE__PARALLELISM",
        "TRIGGERER__CAPACITY",
        "CORE__DEFAULT_TASK_RETRIES",
    ):
        section, key = option(f"AIRFLOW__{name}")
        assert f"| `[{section}] {key}` | {SETTINGS[f'AIRFLOW__{name}']} |" in GUIDE


def test_workers_and_parallelism_fit() -> None:
    slots = SERVICES["worker"].replicas * int(SETTINGS["AIRFLOW__CELERY__WORKER_CONCURRENCY"])
    assert int(SETTINGS["AIRFLOW__CORE__PARALLELISM"]) == slots


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        ("${A}", "1"),
        ("x${A:?}y${A:?why}", "x1y1"),
        ("${B:-2}", "2"),
        ("${A:-2}", "1"),
        ("$$A $${A}", "$A ${A}"),
        ({"a": ["${A}", 3, None]}, {"a": ["1", 3, None]}),
    ],
)
def test_variables_are_filled_in(text: Any, outcome: Any) -> None:
    assert compose.filled(text, {"A": "1"}) == outcome
