"""What is in the packages of a release, compared with what is in the repository: run by ``make dist``."""

from __future__ import annotations

import sys
import tarfile
import tomllib
import zipfile
from email import message_from_string
from pathlib import Path
from subprocess import check_output

ROOT = Path(__file__).parents[2]
NAME, PACKAGE = "airflow-provider-cloudsync", "airflow_provider_cloudsync"
#: Of the place where the repository is kept.
NOT_PACKED = {".editorconfig", ".gitattributes", ".ci/run"}
#: Without these a wheel looks whole, and works nowhere or tells no types.
NEEDED = {f"{PACKAGE}/{name}" for name in ("__init__.py", "py.typed", "api/endpoints.json")}
ENTRY_POINT = f"[apache_airflow_provider]\nprovider_info = {PACKAGE}:get_provider_info\n"


def main(folder: str) -> int:
    """Look at the two packages in a folder; 0 if nothing is missing or too much."""
    (sdist,) = Path(folder).glob("*.tar.gz")
    (wheel,) = Path(folder).glob("*.whl")
    tracked = set(check_output(["git", "ls-files"], cwd=ROOT, text=True).splitlines())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    complaints = [
        *_about_sdist(sdist, tracked),
        *_about_wheel(wheel, tracked, project),
    ]
    for complaint in complaints:
        print(complaint, file=sys.stderr)
    if not complaints:
        print(f"{sdist.name} and {wheel.name} hold what they should")
    return int(bool(complaints))


def _differences(what: str, there: set[str], wanted: set[str]) -> list[str]:
    return [
        *(f"{what} lacks {name}" for name in sorted(wanted - there)),
        *(f"{what} holds {name}, which is not to be there" for name in sorted(there - wanted)),
    ]


def _about_sdist(path: Path, tracked: set[str]) -> list[str]:
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    return _differences(path.name, names - {"PKG-INFO"}, tracked - NOT_PACKED)


def _about_wheel(path: Path, tracked: set[str], project: dict) -> list[str]:
    with zipfile.ZipFile(path) as archive:
        names = set(archive.namelist())
        (info,) = {name.partition("/")[0] for name in names if ".dist-info/" in name}
        metadata, wheel, entry_points = (
            archive.read(f"{info}/{name}").decode() for name in ("METADATA", "WHEEL", "entry_points.txt")
        )
        told = message_from_string(metadata)
        license_text = archive.read(f"{info}/licenses/LICENSE").decode()
    own = {name for name in names if not name.startswith(info)}
    facts = {
        "the name": told["Name"] == NAME,
        "the version in the file's name": path.name.startswith(f"{PACKAGE}-{told['Version']}-py3-none-any"),
        "a wheel for any Python 3": "Tag: py3-none-any" in wheel,
        "the entry point": entry_points == ENTRY_POINT,
        "the licence": told["License-Expression"] == "Apache-2.0" and license_text == _text("LICENSE"),
        "the README": told.get_payload().strip() == _text("README.md").strip(),
        "the dependencies": len(told.get_all("Requires-Dist")) == len(project["dependencies"]),
        "the classifiers": told.get_all("Classifier") == project["classifiers"],
        "what it needs": own >= NEEDED,
    }
    wrong = [f"{path.name}: {name} is not right" for name, right in facts.items() if not right]
    return wrong + _differences(path.name, own, {name for name in tracked if name.startswith(f"{PACKAGE}/")})


def _text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
