"""Every block of code in the README and the guides is run, parsed, or looked up, by its language."""

from __future__ import annotations

import configparser
import contextlib
import io
import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import patch

import pytest
import yaml
from airflow.providers.common.compat.sdk import BaseHook, conf

from airflow_provider_cloudsync.connection.reader import read_connection
from airflow_provider_cloudsync.emulator import Emulator
from airflow_provider_cloudsync.emulator.services import SERVICES
from tests.support.markdown import PAGES, ROOT, Block, blocks, fences, name

BLOCKS = [block for page in PAGES for block in blocks(page)]
#: Sections of the emulator's scenario.
SECTIONS = {"account", "quotas", "metadata", *(service.name for service in SERVICES)}
#: Sections of Airflow's configuration that come with providers which are not installed here.
OF_OTHERS = {"celery", "celery_broker_transport_options", "kubernetes_executor"}


# --- Python -----------------------------------------------------------------------------------------------------------


def python(block: Block, tmp_path: Path) -> None:
    """It runs; and what makes DAGs makes them for Airflow, too."""
    if re.search(r"^from airflow.sdk import", block.text, re.MULTILINE):
        pytest.importorskip("airflow.sdk")  # what Airflow 2 has not
    module = ModuleType("a_guide")
    sys.modules["a_guide"] = module
    try:
        exec(compile(block.text, str(block), "exec"), vars(module))
    finally:
        del sys.modules["a_guide"]
    if re.search(r"^with DAG\(|^@dag\b", block.text, re.MULTILINE):
        file = tmp_path / "a_guide.py"
        file.write_text(block.text)
        bag = dag_bag(file)
        assert not bag.import_errors
        assert bag.dags
        assert all(dag.tasks for dag in bag.dags.values())


def dag_bag(file: Path) -> Any:
    try:
        from airflow.dag_processing.dagbag import DagBag
    except ImportError:
        from airflow.models.dagbag import DagBag
    return DagBag(str(file))


# --- data -------------------------------------------------------------------------------------------------------------


def json_(block: Block, tmp_path: Path) -> None:
    """It is JSON; and a connection or a scenario can be used as one."""
    data = json.loads(block.text)
    if "conn_type" in data:
        certificate = tmp_path / "ca.pem"
        certificate.touch()
        extra = dict(data.get("extra", {}))
        if isinstance(extra.get("verify"), str):
            extra["verify"] = str(certificate)
        with patch.dict(os.environ, {"AIRFLOW_CONN_OF_A_GUIDE": json.dumps({**data, "extra": extra})}):
            connection = BaseHook.get_connection("of_a_guide")
        assert read_connection(connection, clock=lambda: 0.0).credentials
    elif set(data) <= SECTIONS:
        with Emulator(data, stepped=True) as emulator:
            assert emulator.state()


def ini(block: Block, tmp_path: Path) -> None:
    """It is a part of airflow.cfg, of options that there are."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string(block.text)
    assert parser.sections()
    for section in parser.sections():
        for option in parser.options(section):
            is_option(section, option)


def is_option(section: str, option: str) -> None:
    """Fails unless Airflow has it. One that came with Airflow 3 is not looked for in an older one."""
    if section in OF_OTHERS:
        return
    options = conf.configuration_description.get(section, {}).get("options", {})
    if AIRFLOW_3:
        assert option in options, f"[{section}] {option}"


AIRFLOW_3 = "dag_processor" in conf.configuration_description


def yaml_(block: Block, tmp_path: Path) -> None:
    """It is YAML."""
    assert [each for each in yaml.safe_load_all(block.text) if each]
    variables(block.text)


def toml(block: Block, tmp_path: Path) -> None:
    """It is TOML."""
    assert tomllib.loads(block.text)


def variables(text: str) -> None:
    """Variables that stand for an option of Airflow stand for one that there is."""
    for section, option in re.findall(r"\bAIRFLOW__([A-Z_]+?)__([A-Z_]+)\b", text):
        is_option(section.lower(), option.lower())


# --- shell ------------------------------------------------------------------------------------------------------------


def sh(block: Block, tmp_path: Path) -> None:
    """A shell can read it, and what it calls of ours and of Airflow is there, with these options."""
    subprocess.run(["bash", "-n"], input=block.text, text=True, check=True, timeout=60)
    variables(block.text)
    defined = set(re.findall(r"^(\w+)\(\)", block.text, re.MULTILINE))
    for program, *arguments in commands(block.text):
        if program not in defined:
            known = PROGRAMS.get(Path(program).name)
            assert known, f"no test knows {program}"
            known(arguments)


def console(block: Block, tmp_path: Path) -> None:
    """The same, of what stands behind the prompts; the rest is what is shown."""
    typed = list(lines_typed(block.text))
    assert typed
    sh(Block(block.page, "sh", "\n".join(typed), block.line), tmp_path)


def lines_typed(text: str) -> Iterator[str]:
    """What was typed behind each prompt, with the lines that belong to it."""
    lines = iter(text.splitlines())
    for line in lines:
        if not line.startswith("$ "):
            continue
        line = line[2:]
        while not is_whole(line):
            line += "\n" + next(lines)
        yield line


def is_whole(line: str) -> bool:
    if line.endswith("\\"):
        return False
    try:
        shlex.split(line, comments=True)
    except ValueError:
        return False
    return True


def commands(text: str) -> Iterator[list[str]]:
    """The simple commands in a shell's text, without assignments and redirections."""
    # A semicolon on each line of its own, since a comment takes the end of its line along; within quotes it goes again.
    text = text.replace("\\\n", " ").replace("\n", "\n;\n")
    lexer = shlex.shlex(text, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    command: list[str] = []
    tokens = iter([*lexer, ";"])
    for token in tokens:
        if set(token) <= set("();|&"):
            while command and re.fullmatch(r"[A-Za-z_]\w*=.*|[{}]", command[0], re.DOTALL):
                del command[0]
            if command and command[0] != "export":
                yield command
            command = []
        elif set(token) <= set("<>&"):
            next(tokens)
        else:
            command.append(token.replace("\n;\n", "\n"))


def make(arguments: list[str]) -> None:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    for argument in arguments:
        if "=" in argument:
            assert re.search(rf"\b{argument.partition('=')[0]}\b", text), argument
        else:
            assert re.search(rf"^{re.escape(argument)}:", text, re.MULTILINE), argument


def airflow(arguments: list[str]) -> None:
    """As Airflow's own parser takes it."""
    from airflow.cli.cli_parser import get_parser

    if arguments[0] == "cloudsync":
        ours("airflow_provider_cloudsync", arguments[1:])
    elif arguments[0] not in ("celery", "kubernetes", "webserver", "api-server", "dag-processor"):
        assert get_parser().parse_args(arguments)


def interpreter(arguments: list[str]) -> None:
    how, what, *others = arguments
    if how == "-c":
        compile(what, "a guide", "exec")
        return
    assert how == "-m", arguments
    if what.startswith("airflow_provider_cloudsync"):
        ours(what, others)
    elif what == "pytest":
        files_of_tests(others)
    elif what == "airflow":
        airflow(others)
    elif what == "pip":
        pass
    else:
        path = ROOT / what.replace(".", "/")
        assert path.with_suffix(".py").exists() or (path / "__main__.py").exists(), what


def ours(module: str, arguments: list[str]) -> None:
    """A command of the package: it is there, and so are its options."""
    main = import_module(f"{module}.__main__").main
    subcommand = [each for each in arguments[:1] if not each.startswith("-")]
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown), contextlib.suppress(SystemExit):
        main([*subcommand, "--help"])
    options = {each.partition("=")[0] for each in arguments if each.startswith("--")}
    assert shown.getvalue(), arguments
    assert options <= set(re.findall(r"--[a-z-]+", shown.getvalue())), arguments


def files_of_tests(arguments: list[str]) -> None:
    files = [each for each in arguments if each.startswith("tests")]
    assert files
    for each in files:
        assert (ROOT / each).exists(), each


def of_others(arguments: list[str]) -> None:
    """Not ours to look into."""


PROGRAMS: dict[str, Callable[[list[str]], None]] = {
    "make": make,
    "airflow": airflow,
    "python": interpreter,
    "python3": interpreter,
    **dict.fromkeys(("cat", "cd", "chmod", "echo", "mkdir"), of_others),
    **dict.fromkeys(("curl", "docker", "git", "helm", "kubectl", "pip"), of_others),
}

# --- all of them ------------------------------------------------------------------------------------------------------

CHECKS: dict[str, Callable[[Block, Path], None]] = {
    "console": console,
    "ini": ini,
    "json": json_,
    "python": python,
    "sh": sh,
    "toml": toml,
    "yaml": yaml_,
}


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_a_block_does_what_it_says(block: Block, tmp_path: Path) -> None:
    assert block.language in CHECKS, "a language that no test knows"
    CHECKS[block.language](block, tmp_path)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_no_block_is_overlooked(page: Path) -> None:
    assert fences(page) == 2 * len(blocks(page))


WRONG = {
    "python": "import nothing_of_that_name",
    "python, a DAG": (
        "from airflow.providers.common.compat.sdk import DAG, BaseOperator\n"
        "with DAG('of_a_guide', schedule=None):\n    BaseOperator(task_id='with a blank')"
    ),
    "json": '{"conn_type": "cloudsync", "login": "***"}',
    "json, a scenario": '{"mrs": {"clusters": {"slow": {"second": 1}}}}',
    "yaml": "a: [",
    "toml": "a = ",
    "sh": "make nothing-of-that-name",
    "sh, a quote": "make 'demo",
    "sh, a program": "nothing-of-that-name",
    "sh, an option": "python -m airflow_provider_cloudsync check --nothing",
    "sh, of Airflow": "airflow connections nothing",
    "sh, a file": "python -m pytest tests/nothing.py",
    "console": "make demo",
    "console, the second": "$ make demo\nshown\n$ make nothing-of-that-name",
    "text": "any",
}


@pytest.mark.parametrize("kind", WRONG)
def test_a_wrong_block_is_found(kind: str, tmp_path: Path) -> None:
    block = Block(PAGES[0], kind.partition(",")[0], WRONG[kind], 1)
    with pytest.raises((Exception, SystemExit)):
        test_a_block_does_what_it_says(block, tmp_path)
