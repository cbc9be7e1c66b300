"""`transport.reset` forgets all state of the process. What there is of it is found by walking over the package."""

from __future__ import annotations

import ast
import asyncio
import enum
import functools
import importlib
import logging
import pkgutil
import re
import threading
import types
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import airflow_provider_cloudsync as package
from airflow_provider_cloudsync import metrics
from airflow_provider_cloudsync.api import endpoints
from airflow_provider_cloudsync.api.credentials import Anonymous
from airflow_provider_cloudsync.api.flows import Cloud
from airflow_provider_cloudsync.api.messages import AcquireSlot, Cooldown, Flow, Quota, SingleFlight
from airflow_provider_cloudsync.api.services.coc import calls
from airflow_provider_cloudsync.hooks import cloudsync
from airflow_provider_cloudsync.transport import blocking, drivers

#: What could be changed and is no state that a test leaves behind, with the reason.
CONSTANT = {
    "transport.asynchronous._ready": "whether a library has been imported, which stays so",
    "transport.drivers._count_shared": "a function",
    "transport.requests_adapter.current": "the exchange of each thread, which its next request replaces",
    "triggers.sync._NONE": "an empty object that nobody writes to",
}
#: Types whose objects cannot change, or that hold nothing of a test.
FIXED = (
    *(str, bytes, int, float, bool, type(None), frozenset, type, enum.Enum, Path),
    *(re.Pattern, typing.TypeVar, type(typing.Literal["x"]), logging.Logger),
    *(types.MappingProxyType, types.ModuleType, types.FunctionType, types.GenericAlias, types.UnionType),
)
FUNCTION_CACHE = type(functools.cache(lambda: None))
CHANGES = {"add", "append", "clear", "extend", "insert", "pop", "popitem", "remove", "setdefault", "update"}


def modules() -> Iterator[tuple[str, ModuleType, ast.Module]]:
    """Each module of the provider, with its source. The emulator is a process of its own, or ends with its test."""
    for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        name = found.name.removeprefix(f"{package.__name__}.")
        if not name.startswith("emulator") and name != "__main__":
            module = importlib.import_module(found.name)
            assert module.__file__
            yield name, module, ast.parse(Path(module.__file__).read_text(encoding="utf-8"))


MODULES = list(modules())


def assigned(tree: ast.Module) -> set[str]:
    """Names that a module assigns to outside of functions and classes."""
    names: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {
                each.id for target in targets for each in ast.walk(target) if isinstance(each, ast.Name)
            }
    return names


def changed(tree: ast.Module) -> set[str]:
    """Names that a module changes the value or the content of, in whatever function."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Global):
            names |= set(node.names)
        elif isinstance(node, ast.Subscript) and not isinstance(node.ctx, ast.Load):
            names.add(ast.unparse(node.value))
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            names |= {ast.unparse(node.func.value)} if node.func.attr in CHANGES else set()
    return names


def is_fixed(value: Any) -> bool:
    if isinstance(value, tuple):
        return all(map(is_fixed, value))
    return isinstance(value, FIXED)


def state_of_the_process() -> set[str]:
    """Module-level names of what can change: by name no constant, or changed, or made to be filled."""
    found: set[str] = set()
    for name, module, tree in MODULES:
        here = assigned(tree) & set(vars(module))
        for each in here:
            value = vars(module)[each]
            suspicious = not each.isupper() or (isinstance(value, dict | list | set) and not value)
            if each in changed(tree) or (suspicious and not is_fixed(value)):
                found.add(f"{name}.{each}")
    return {each for each in found if not each.endswith("__all__")}


# --- how each is filled, and how much is in it ---


def one(message: Any) -> Flow[Any]:
    return (yield message)


def result() -> Flow[str]:
    return "result"
    yield


def fill_results() -> None:
    drivers.run(one(SingleFlight("key", result, max_age=60)))


def fill_queues() -> None:
    drivers.run(one(AcquireSlot("key", Quota(1, 60), "claim")))
    drivers.run(one(Cooldown("key", 60, None)))


def fill_pools() -> None:
    async def main() -> None:
        await drivers.arun(result())

    drivers._pools[LOOP] = drivers._pools.get(LOOP) or drivers._Pool()
    LOOP.run_until_complete(main())


def fill_sessions() -> None:
    blocking._blocking_session()


def fill_clouds() -> None:
    KEPT.append(Cloud(Anonymous(), lambda: 0.0))
    cloudsync._clouds["c", None, None] = KEPT[-1]


def fill_gauges() -> None:
    metrics.Wait("mrs", gauge=True).__enter__()


LOOP = asyncio.new_event_loop()
KEPT: list[Cloud] = []
STATE: dict[str, tuple[Callable[[], None], Callable[[], int]]] = {
    "transport.drivers._results": (fill_results, lambda: len(drivers._results)),
    "transport.drivers._single_flight": (fill_results, lambda: len(drivers._single_flight._locks)),
    "transport.drivers._rate_limiter": (fill_queues, lambda: len(drivers._rate_limiter._queues)),
    "transport.drivers._pools": (fill_pools, lambda: len(drivers._pools)),
    "transport.blocking._threads": (fill_sessions, lambda: len(vars(blocking._threads))),
    "hooks.cloudsync._clouds": (fill_clouds, lambda: len(cloudsync._clouds)),
    "metrics._running": (fill_gauges, lambda: len(metrics._running)),
}


@pytest.fixture(scope="module", autouse=True)
def _close_loop() -> Iterator[None]:
    yield
    LOOP.close()


def test_all_state_of_the_process_is_known() -> None:
    """A new one belongs into `transport.reset` and STATE; or it is CONSTANT, and that says why."""
    assert state_of_the_process() == STATE.keys() | CONSTANT.keys()


@pytest.mark.parametrize("name", STATE)
def test_reset_empties_it(name: str) -> None:
    fill, size = STATE[name]
    fill()
    assert size() > 0
    drivers.reset()
    assert size() == 0


def test_a_lock_that_is_held_is_replaced() -> None:
    with drivers._rate_limiter._lock, drivers._single_flight._lock:
        drivers.reset()
        fill_queues()
        fill_results()


def test_sessions_of_other_threads_are_dropped() -> None:
    begun, go_on = threading.Event(), threading.Event()
    seen: list[bool] = []

    def work() -> None:
        first = blocking._blocking_session()
        begun.set()
        go_on.wait(10)
        seen.append(blocking._blocking_session() is first)

    thread = threading.Thread(target=work)
    thread.start()
    assert begun.wait(10)
    drivers.reset()
    go_on.set()
    thread.join(10)
    assert seen == [False]


def test_function_caches_are_empty() -> None:
    endpoints.table()
    calls._warn_of("ASW")
    metrics._host()
    caches = {
        f"{name}.{key}": value
        for name, module, _ in MODULES
        for key, value in vars(module).items()
        if isinstance(value, FUNCTION_CACHE)
    }
    filled = {name for name, cache in caches.items() if cache.cache_info().currsize}
    assert {"api.endpoints.table", "api.services.coc.calls._warn_of", "metrics._host"} <= filled
    drivers.reset()
    assert {name: cache.cache_info() for name, cache in caches.items() if cache.cache_info().currsize} == {}


def test_only_functions_of_a_module_are_cached() -> None:
    """`reset` would not find a method, nor a function in a function."""
    for name, module, tree in MODULES:
        top = {id(node) for node in tree.body}
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and id(node) not in top:
                decorators = {
                    ast.unparse(each).partition("(")[0].rpartition(".")[2] for each in node.decorator_list
                }
                assert not decorators & {"cache", "lru_cache"}, f"{name}.{node.name}"
        for each in vars(module).values():
            if (
                isinstance(each, type)
                and each.__module__ == module.__name__
                and not issubclass(each, enum.Enum)
            ):
                empty = {
                    key
                    for key, value in vars(each).items()
                    if isinstance(value, dict | list | set) and not value and not key.startswith("__")
                }
                assert empty <= {"_field_defaults"}, (
                    f"{name}.{each.__name__} has state of the process: {empty}"
                )
