"""An account of the cloud as IAM sees it, where it is called a domain: its id, its name and its projects."""

from __future__ import annotations

from dataclasses import dataclass

from airflow_provider_cloudsync.emulator.reading import BadInput, Reader


@dataclass(frozen=True)
class Project:
    """A project of an account; most regions have one that carries the region's name."""

    id: str
    name: str
    enabled: bool = True


@dataclass(frozen=True)
class Domain:
    """An account."""

    id: str
    name: str
    projects: tuple[Project, ...]

    def project(self, project_id: str) -> Project | None:
        """The project of that id."""
        return next((each for each in self.projects if each.id == project_id), None)

    def brief(self) -> dict[str, str]:
        """What other objects say of the account that they belong to."""
        return {"id": self.id, "name": self.name}


def read_projects(section: Reader) -> tuple[Project, ...]:
    """The list ``projects`` of an account."""
    projects = tuple(_project(each) for each in section.children("projects"))
    seen: set[str] = set()
    for index, project in enumerate(projects):
        if project.id in seen:
            raise BadInput(f"{section.at('projects')}[{index}].id {project.id!r} is there twice")
        seen.add(project.id)
    return projects


def _project(reader: Reader) -> Project:
    project = Project(
        reader.text("id", reader.needed("id")), reader.text("name"), reader.flag("enabled", True)
    )
    reader.done()
    return project
