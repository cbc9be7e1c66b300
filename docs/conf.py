"""How Sphinx builds the site: ``make docs``.

The sources are the Markdown files as they are in the repository, README and guides alike, each at its own path; so a
link between them leads to the same page here and on a repository site. The folder of sources is therefore the root of
the repository. The API reference is read from the sources as well: nothing is imported but the provider's own
description of itself, and no Airflow is needed.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from airflow_provider_cloudsync import __version__, get_provider_info  # noqa: E402

project = "airflow-provider-cloudsync"
version = release = __version__

#: The pages in their order, by the headings of the sidebar. What else is in docs/ comes behind the last of these.
CONTENTS = {
    "To begin with": ["README", "docs/connection", "docs/emulator", "docs/troubleshooting"],
    "Services": ["docs/mrs", "docs/dataarts", "docs/hss", "docs/coc", "docs/csms", "example_dags/README"],
    "Waiting": ["docs/waiting", "docs/done", "docs/events", "docs/links", "docs/reliability"],
    "In production": ["docs/deployment", "docs/scaling"],
    "Reference": ["docs/public-api", "docs/api/index", "CHANGELOG", "SECURITY"],
    "Contributing": ["CONTRIBUTING", "airflow_provider_cloudsync/api/services/README"],
    "More": [],
}
#: As the sidebar calls those whose title does not say what they are.
TITLES = {"README": "Quick start"}

# --- what is read ---
root_doc = "docs/README"
include_patterns = [
    *(f"{page}.md" for pages in CONTENTS.values() for page in pages if not page.startswith("docs/")),
    "docs/**",
]
exclude_patterns = [".*", "build", "dist", "tests", "benchmarks", "constraints"]
extensions = ["myst_parser", "autoapi.extension"]
myst_heading_anchors = 4
nitpicky = True
# In docstrings: what is no object of the reference is shown as code.
default_role = "py:obj"

# --- the reference ---
autoapi_dirs = [str(ROOT / "airflow_provider_cloudsync")]
autoapi_generate_api_docs = False  # the pages in docs/api/ say what there is
autoapi_python_class_content = "class"
autoapi_options = ["members", "show-inheritance"]
autodoc_typehints = "signature"
python_use_unqualified_type_names = True
nitpick_ignore_regex = [
    ("py:obj", r".*"),
    # Airflow, the standard library and the package's inner parts have no page here.
    (
        "py:.*",
        r"(?!airflow_provider_cloudsync\.(assets|emulator|exceptions|hooks|links|operators|sensors|triggers)\b).*",
    ),
]
suppress_warnings = [
    "autoapi.python_import_resolution",  # constants that are assigned several at once, and are on no page
    "misc.highlighting_failure",  # a shell command over several lines; tests/test_docs.py has a shell read them
]

# --- how it looks ---
html_theme = "furo"
html_title = f"{project} {version}"
html_show_copyright = False
html_copy_source = False
pygments_style = "friendly"


def contents() -> str:
    """The tables of contents, one for each heading of the sidebar, as MyST writes them."""
    listed = {page for pages in CONTENTS.values() for page in pages} | {root_doc}
    there = {f"docs/{path.stem}" for path in (ROOT / "docs").glob("*.md")}
    tables = {**CONTENTS, "More": [*CONTENTS["More"], *sorted(there - listed)]}
    return "".join(
        f"\n```{{toctree}}\n:hidden:\n:caption: {heading}\n\n"
        + "".join(f"{TITLES[page]} </{page}>\n" if page in TITLES else f"/{page}\n" for page in pages)
        + "```\n"
        for heading, pages in tables.items()
        if pages
    )


def modules(kind: str) -> list[str]:
    """The public modules of a kind ("hooks", "extra-links", ...), as Airflow is told of them."""
    found: list[str] = []
    for entry in get_provider_info().get(kind, ()):
        if isinstance(entry, str):  # of a class
            found.append(entry.rpartition(".")[0])
        elif "python-modules" in entry:
            found.extend(entry["python-modules"])
        else:  # of the functions for a kind of URI
            found.append(entry["factory"].rpartition(".")[0])
    return list(dict.fromkeys(found))


def as_the_site_needs_it(app, docname: str, source: list[str]) -> None:
    """Adds what a repository site has by itself or does not need."""
    text = source[0]
    if docname == root_doc:
        text += contents()
    if docname.startswith("docs/api/"):
        text = app.builder.templates.render_string(text, {"modules": modules})
    # A link to a folder shows its README.
    source[0] = re.sub(
        r"\]\(([\w./-]+)\)",
        lambda link: (
            f"]({link[1]}/README.md)" if (ROOT / docname).parent.joinpath(link[1]).is_dir() else link[0]
        ),
        text,
    )


def is_left_out(app, what: str, name: str, found, skip: bool, options) -> bool | None:
    """What has no docstring, and what a module only imports; but the types of what hooks return belong to hooks."""
    typed = "TypedDict" in " ".join(getattr(found, "bases", ()))
    return True if (found.imported and not typed) or not found.docstring else None


def begin_at_the_root(app, error: Exception | None) -> None:
    """A page at the top of the site, which leads to the first one."""
    if error is None and app.builder.name == "html":
        start = app.builder.get_target_uri(root_doc)
        Path(app.outdir, "index.html").write_text(
            f'<!doctype html><meta charset="utf-8"><title>{html_title}</title>'
            f'<meta http-equiv="refresh" content="0; url={start}"><a href="{start}">{html_title}</a>\n'
        )


def setup(app) -> None:
    """What Sphinx calls."""
    from sphinx.domains.python import PyXRefRole  # the tests read this file where there is no Sphinx

    class Named(PyXRefRole):
        """A name in a docstring, wherever in the package it is defined."""

        def process_link(self, env, node, has_title: bool, title: str, target: str) -> tuple[str, str]:
            node["refspecific"] = True
            return super().process_link(env, node, has_title, title, target)

    app.add_role_to_domain("py", "obj", Named(), override=True)
    app.connect("autodoc-skip-member", is_left_out)
    app.connect("source-read", as_the_site_needs_it)
    app.connect("build-finished", begin_at_the_root)
