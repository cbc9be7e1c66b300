"""Development sessions. ``nox -l`` lists them; ``make`` is a front door for the usual ones.

Sessions of one Airflow share an environment in ``.venv/``, made by uv from the pins in ``constraints/`` and made again
when the pins change. Nothing of the developer's own Airflow or Python path gets in.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import nox

ROOT = Path(__file__).parent
NEWEST, OLDEST = "3.3.2", "2.11.2"
#: Environment -> pins, newest minor of Python 3 that they allow.
ENVIRONMENTS: dict[str, tuple[tuple[str, ...], int]] = {
    "newest": (("newest",), 14),
    "oldest": (("oldest",), 12),
    "celery": (("newest", "celery"), 14),
    "peers": (("newest", "../benchmarks/peers"), 14),
    "docs": (("docs",), 14),
    "dist": (("dist",), 14),
}
#: Environments without the package and Airflow.
TOOLS = ("docs", "dist")
#: Airflow -> minors of Python 3 that it supports.
SUPPORTED = {"2.11": (11, 12), "3.0": (11, 12), "3.1": (11, 12, 13), "3.2": (11, 12, 13), "3.3": (11, 12, 13)}
#: The ends of the range have their pins under other names.
PINS = {"2.11": "oldest", "3.3": "newest"}

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "none"
nox.options.sessions = ["lint", "types", "unit-newest"]


class Environment:
    """An environment in ``.venv/``, and how to run commands in it.

    :param name: folder in ``.venv/``.
    :param pins: names of files in ``constraints/``.
    :param python: command of the Python that it is made with.
    :param has_package: install this package as editable, too.
    """

    def __init__(
        self, session: nox.Session, name: str, pins: Sequence[str], python: str, *, has_package: bool = True
    ) -> None:
        self._session = session
        self.folder = ROOT / ".venv" / name
        self.python = self.folder / "bin" / "python"
        files = [ROOT / "constraints" / f"{each}.txt" for each in pins]
        self._create(python, files, has_package=has_package)

    def _create(self, python: str, files: list[Path], *, has_package: bool) -> None:
        """Make the environment, or bring it up to date if its pins have changed."""
        content = b"".join(each.read_bytes() for each in [*files, ROOT / "pyproject.toml"])
        wanted = f"{version_of(python)} {hashlib.sha256(content).hexdigest()}"
        stamp = self.folder / "ready.txt"
        if stamp.exists() and stamp.read_text() == wanted:
            return
        self._session.log(f"installing {self.folder.relative_to(ROOT)} with {python}")
        made_with = stamp.read_text().split()[0] if stamp.exists() else ""
        if made_with != version_of(python):
            shutil.rmtree(self.folder, ignore_errors=True)
            self._uv("venv", "--quiet", "--python", python, str(self.folder))
        self._install(*(f"--requirements={each}" for each in files))
        if has_package:
            self._install("--no-build-isolation", "--no-deps", "--editable", str(ROOT))
        self._uv("pip", "check", "--quiet", "--python", str(self.python))
        stamp.write_text(wanted)

    def _install(self, *arguments: str) -> None:
        self._uv("pip", "install", "--quiet", "--python", str(self.python), *arguments)

    def _uv(self, *arguments: str) -> None:
        self._session.run(uv(), *arguments, external=True, env={"UV_PYTHON_DOWNLOADS": "never"})

    def run(self, *command: str, **variables: str) -> None:
        """Run a command with an empty ``AIRFLOW_HOME``, which is removed afterwards."""
        with tempfile.TemporaryDirectory() as home:
            own = {
                "AIRFLOW_HOME": home,
                "VIRTUAL_ENV": str(self.folder),
                "PATH": os.pathsep.join((str(self.folder / "bin"), os.environ["PATH"])),
                **variables,
            }
            kept = {key: value for key, value in os.environ.items() if not is_of_developer(key)}
            program = shutil.which(command[0], path=own["PATH"]) or command[0]
            self._session.run(program, *command[1:], external=True, env=kept | own, include_outer_env=False)


def is_of_developer(variable: str) -> bool:
    """Return whether a variable would bring the developer's own Airflow or Python path into a session."""
    return variable.startswith("AIRFLOW") or variable in ("PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP")


def uv() -> str:
    """Return the command of uv: that beside the Python that runs nox, else that of the path."""
    beside = Path(sys.executable).with_name("uv")
    return str(beside) if beside.exists() else "uv"


def version_of(python: str) -> str:
    """Return the version of a Python, such as ``3.11``; empty if the command does not run or has no venv module."""
    code = "import sys, venv; print('%d.%d' % sys.version_info[:2])"
    try:
        done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip()


def find_python(oldest: int, newest: int) -> str | None:
    """Return the command of a Python between two minors of Python 3: first $PYTHON, then the usual ones."""
    chosen = os.environ.get("PYTHON")
    pyenv = sorted(
        Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv").glob("versions/3.*/bin/python")
    )
    minors = [f"python3.{minor}" for minor in range(newest, oldest - 1, -1)]
    for python in [chosen] if chosen else ["python3", sys.executable, *minors, *map(str, pyenv)]:
        version = version_of(python)
        if version and oldest <= int(version.partition(".")[2]) <= newest and version.startswith("3."):
            return python
    if chosen:
        # Of another Airflow than the one for which it was chosen.
        return next((each for each in minors if version_of(each)), None)
    return None


def environment(session: nox.Session, name: str) -> Environment:
    """Return an environment of `ENVIRONMENTS`, ready to use. The session is skipped if no Python fits."""
    pins, newest = ENVIRONMENTS[name]
    python = find_python(11, newest)
    if python is None:
        session.skip(f"needs Python 3.11 to 3.{newest}, and none was found")
    return Environment(session, name, pins, python, has_package=name not in TOOLS)


# --- checks --------------------------------------------------------------------------------------


@nox.session
def lint(session: nox.Session) -> None:
    """Style and format."""
    env = environment(session, "newest")
    env.run("ruff", "check")
    env.run("ruff", "format", "--check")


@nox.session
def types(session: nox.Session) -> None:
    """Types of the package, checked by mypy --strict."""
    environment(session, "newest").run("mypy")


@nox.session(name="venvs")
def venvs(session: nox.Session) -> None:
    """Make the environments of the newest and the oldest Airflow."""
    environment(session, "newest")
    if find_python(11, ENVIRONMENTS["oldest"][1]):
        environment(session, "oldest")


# --- tests ---------------------------------------------------------------------------------------


#: Tests that do not depend on Airflow -> the only version that they run on in ``make test``.
SHARED = {"tests/api": "oldest", "tests/emulator": "newest"}


#: Tests that run in full on the newest Airflow. On the oldest one, ``make test`` runs each value of each parameter of a
#: test, but not each combination (tests/support/thinning.py).
THINNED = ("tests/airflow", "tests/connection", "tests/transport")


def _unit(session: nox.Session, env: Environment, *options: str) -> None:
    env.run("pytest", "-q", *options, *session.posargs)


def _ignored(*folders: str) -> list[str]:
    return [f"--ignore={folder}" for folder in folders]


def _of_other(own: str) -> list[str]:
    """Return the options that leave out what another session runs, in ``make test`` on a machine with both Pythons."""
    both = find_python(11, ENVIRONMENTS["oldest"][1]) and find_python(11, ENVIRONMENTS["newest"][1])
    if not both or "CLOUDSYNC_SHARE_TESTS" not in os.environ:
        return []
    thinned = [f"--thin={folder}" for folder in THINNED] if own == "oldest" else []
    return [*_ignored(*(folder for folder, name in SHARED.items() if name != own)), *thinned]


@nox.session(name="unit-newest")
def unit_newest(session: nox.Session) -> None:
    """Unit tests on the newest Airflow."""
    _unit(session, environment(session, "newest"), *_of_other("newest"))


@nox.session(name="unit-oldest")
def unit_oldest(session: nox.Session) -> None:
    """Unit tests on the oldest Airflow."""
    _unit(session, environment(session, "oldest"), *_of_other("oldest"))


@nox.session(name="e2e-newest")
def e2e_newest(session: nox.Session) -> None:
    """End-to-end tests in a real Airflow, the newest."""
    env = environment(session, "newest")
    env.run("pytest", "-q", "-m", "e2e", "--ignore=tests/e2e/test_soak.py", "tests/e2e", *session.posargs)


@nox.session(name="e2e-oldest")
def e2e_oldest(session: nox.Session) -> None:
    """End-to-end tests in a real Airflow, the oldest."""
    env = environment(session, "oldest")
    # Processes without an Airflow, and many waits over deaths of the triggerer: the short soak does that here.
    ignored = _ignored("tests/e2e/test_hundred.py", "tests/e2e/test_thousand.py")
    env.run("pytest", "-q", "-m", "e2e", *ignored, "tests/e2e", *session.posargs)


@nox.session
def celery(session: nox.Session) -> None:
    """The distributed deployment: workers, triggerers, PostgreSQL and Redis, and some of them killed."""
    env = environment(session, "celery")
    env.run("python", "-m", "tests.e2e.debian", "postgresql", "redis-server")
    timeout = ("-o", "faulthandler_timeout=1800")
    env.run("pytest", "-q", "-s", "-m", "celery", *timeout, "tests/e2e/test_celery.py", *session.posargs)


@nox.session
@nox.parametrize("airflow", ["newest", "oldest"])
def browser(session: nox.Session, airflow: str) -> None:
    """Form, buttons, assets and grid in a browser. Pictures go to build/screenshots."""
    env = environment(session, airflow)
    # What drives a browser is the same for each Airflow, so it is a folder on the path of both.
    folder = ROOT / ".venv" / "browser"
    if not folder.exists():
        pins = ROOT / "constraints" / "browser.txt"
        target = ("--no-deps", "--target", str(folder), "--python", str(env.python))
        session.run(uv(), "pip", "install", "--quiet", *target, f"--requirements={pins}", external=True)
    env.run("python", "-m", "tests.e2e.debian", "chromium")
    env.run(
        *("pytest", "-q", "-m", "browser", "tests/e2e/test_browser.py", *session.posargs),
        PYTHONPATH=str(folder),
    )


@nox.session
@nox.parametrize("python", [11, 12, 13])
@nox.parametrize("airflow", list(SUPPORTED))
def matrix(session: nox.Session, airflow: str, python: int) -> None:
    """Unit tests on every supported Airflow with every Python that it supports and that is here."""
    if python not in SUPPORTED[airflow]:
        session.skip(f"Airflow {airflow} does not support Python 3.{python}")
    command = find_python(python, python)
    if command is None:
        session.skip(f"Python 3.{python} was not found")
    env = Environment(session, f"{airflow}-py3.{python}", (PINS.get(airflow, airflow),), command)
    # What does not depend on Airflow's version runs on the newest, with each Python.
    _unit(session, env, *(() if airflow == "3.3" else _ignored(*SHARED)))


@nox.session
def soak(session: nox.Session) -> None:
    """2,000 waits for 10 minutes with faults and restarts; see tests/soak/__main__.py."""
    environment(session, "newest").run("python", "-m", "tests.soak", *session.posargs)


# --- things to look at ---------------------------------------------------------------------------


@nox.session
def demo(session: nox.Session) -> None:
    """Every example DAG in a real Airflow against the emulator. ``-- --ui`` leaves its web page running."""
    environment(session, "newest").run("python", "-m", "tests.e2e.demo", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Speed and size beside the least that is possible. ``-- --peers`` compares with other providers, too."""
    arguments = list(session.posargs)
    if "--peers" in arguments:
        peers = environment(session, "peers")
        arguments.insert(arguments.index("--peers") + 1, str(peers.python))
    environment(session, "newest").run("python", "-m", "benchmarks", *arguments)


@nox.session
def docs(session: nox.Session) -> None:
    """The guides and the reference as a site, in build/docs."""
    shutil.rmtree(ROOT / "build" / "docs", ignore_errors=True)
    options = ("-q", "-n", "-W", "--keep-going", "-c", "docs", "-d", "build/doctrees")
    environment(session, "docs").run("sphinx-build", *options, ".", "build/docs")
    session.log("build/docs/index.html")


@nox.session
def dist(session: nox.Session) -> None:
    """The packages of a release, built and tried from outside the checkout. ``-- --demo`` runs the demo, too."""
    for folder in ("dist", "build/installed"):
        shutil.rmtree(ROOT / folder, ignore_errors=True)
    env = environment(session, "dist")
    env.run("python", "-m", "build", "--no-isolation")
    packages = sorted(str(each.relative_to(ROOT)) for each in (ROOT / "dist").iterdir())
    env.run("twine", "check", "--strict", *packages)
    env.run("python", "-m", "tests.release.packages", "dist")
    python = find_python(11, ENVIRONMENTS["newest"][1])
    if python is None:
        session.error("no Python for the newest Airflow was found")
    installed = ROOT / "build" / "installed"
    session.run(uv(), "venv", "--quiet", "--seed", "--python", python, str(installed), external=True)
    (wheel,) = (each for each in packages if each.endswith(".whl"))
    (sdist,) = (each for each in packages if each.endswith(".tar.gz"))
    pins = ("--constraints", "constraints/newest.txt", f"apache-airflow=={NEWEST}")
    own = str(installed / "bin" / "python")
    session.run(uv(), "pip", "install", "--quiet", "--python", own, *pins, wheel, external=True)
    session.run(uv(), "pip", "check", "--quiet", "--python", own, external=True)
    session.run(own, "tests/release/installed.py", sdist, *session.posargs, external=True)


# --- pins ----------------------------------------------------------------------------------------

#: File in ``constraints/`` -> what it pins. `oldest` holds each runtime dependency at the floor of pyproject.toml.
PINNED: dict[str, tuple[str, ...]] = {
    "newest": (f"apache-airflow=={NEWEST}",),
    "oldest": (
        f"apache-airflow=={OLDEST}",
        "apache-airflow-providers-common-compat==1.23.0",
        "requests==2.32.2",
        "aiohttp==3.14.0",
        "pendulum==3.0.0",
    ),
    # What the last releases of those minors were not made for, and do not exclude by themselves.
    "3.0": ("apache-airflow==3.0.*", "fastapi<0.118", "pyjwt<2.11"),
    "3.1": ("apache-airflow==3.1.*",),
    "3.2": ("apache-airflow==3.2.*", "fastapi<0.137", "svcs<26"),
}
#: The same for what is installed on top of `newest`. Celery 5.7 lacks a name that Airflow's provider imports.
PINNED_BESIDE: dict[str, tuple[str, ...]] = {
    "celery": ("apache-airflow-providers-celery", "celery<5.7", "psycopg2-binary", "asyncpg", "redis"),
    "browser": ("playwright",),
}
#: The same for tools without Airflow: dependency groups of pyproject.toml, and what runs this file.
PINNED_GROUPS = ("docs", "dist", "tools")


@nox.session
def pins(session: nox.Session) -> None:
    """Resolve pins afresh: all files in constraints/, or those named after ``--``."""
    for name in session.posargs or [*PINNED, *PINNED_BESIDE, *PINNED_GROUPS]:
        if name in PINNED:
            found = _resolve(session, ["--group", "dev", "pyproject.toml"], PINNED[name])
        elif name in PINNED_BESIDE:
            newest = (ROOT / "constraints/newest.txt").read_text(encoding="utf-8").splitlines()
            found = _resolve(session, ["--constraints", "constraints/newest.txt"], PINNED_BESIDE[name])
            found = [line for line in found if line not in newest]
        else:
            found = _resolve(session, ["--group", name], ())
        head = f"# Pins for {name}. Made by `nox -s pins`: do not edit."
        text = "\n".join([head, *found, ""])
        (ROOT / "constraints" / f"{name}.txt").write_text(text, encoding="utf-8")


def _resolve(session: nox.Session, arguments: list[str], requirements: Sequence[str]) -> list[str]:
    """Return plain pins (``name==version``, with a marker where Pythons differ) of what requirements need."""
    with tempfile.NamedTemporaryFile("w", suffix=".in") as file:
        file.write("\n".join(requirements))
        file.flush()
        sources = [file.name] if requirements else []
        # Airflow 2.11 runs on Python up to 3.12, all others from 3.11 on.
        options = ("--universal", "--python-version", "3.11", "--no-header", "--no-annotate", "--quiet")
        text = session.run(
            *(uv(), "pip", "compile", *options, *arguments, *sources), external=True, silent=True
        )
    return [line for line in str(text).splitlines() if line and not line.startswith(("#", "-"))]
