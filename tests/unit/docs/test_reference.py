"""Whether the API reference has every public class, and says of each what users must know."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re

import airflow.providers.datarecs
import pytest
from support import DOCS

from airflow_provider_datarecs import exceptions, simulator, triggers
from airflow_provider_datarecs.hooks.calls import ApiCalls
from airflow_provider_datarecs.hooks.datarecs import DataRecsHook
from airflow_provider_datarecs.sensors.base import RunSensor

REFERENCE = DOCS / "reference"
WRITTEN = "\n".join(page.read_text() for page in REFERENCE.glob("*.md"))
TASK_GROUP = "airflow.providers.datarecs.task_groups.reconcile.reconcile"
UNITS = ("second", "part", "request")


def classes_under(package):
    """Give the public classes that the modules of a package define or, at the documented paths, give."""
    for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        module = importlib.import_module(found.name)
        for name, cls in vars(module).items():
            is_own = name in getattr(module, "__all__", ()) or getattr(cls, "__module__", "") == found.name
            if inspect.isclass(cls) and is_own and not name.startswith("_"):
                yield f"{found.name}.{name}", cls


DOCUMENTED = dict(classes_under(airflow.providers.datarecs))
EXCEPTIONS = {path: cls for path, cls in DOCUMENTED.items() if ".exceptions." in path}
RESULTS = {path: cls for path, cls in DOCUMENTED.items() if ".results." in path}
TASKS_AND_HOOK = {path: cls for path, cls in DOCUMENTED.items() if path not in (*EXCEPTIONS, *RESULTS)}
TRIGGERS = {path: cls for path, cls in classes_under(triggers) if cls not in TASKS_AND_HOOK.values()}
SIMULATED = {f"{simulator.__name__}.{name}": getattr(simulator, name) for name in simulator.__all__}
PUBLIC = {**TASKS_AND_HOOK, **TRIGGERS, **RESULTS, **EXCEPTIONS, **SIMULATED}


def arguments_of(cls):
    """Give the arguments that this provider's part of a class takes; where it names not all, its bases do."""
    for base in [cls] if cls in TASKS_AND_HOOK.values() else reversed(cls.__mro__):
        if base.__module__.startswith("airflow_provider_datarecs") and "__init__" in vars(base):
            parameters = inspect.signature(base.__init__).parameters.values()
            yield from (one for one in parameters if one.name != "self" and one.kind.name[:3] != "VAR")


def described(cls):
    text = " ".join(inspect.getdoc(cls).split())
    return dict(re.findall(r":param (\w+): (.*?)(?= :param| :raises| :return|$)", text))


def test_every_exception_is_at_the_documented_path():
    own = [cls for cls in vars(exceptions).values() if getattr(cls, "__module__", "") == exceptions.__name__]
    assert {cls for cls in own if inspect.isclass(cls)} == set(EXCEPTIONS.values())


def test_there_are_public_classes():
    assert {cls.__name__ for cls in PUBLIC.values()} > {
        "TriggerJobRunOperator", "JobGroupRunSensor", "DataRecsHook", "JobRunTrigger", "Simulator",
        "DataRecsRunUncertain",
    }  # fmt: skip


@pytest.mark.parametrize("path", PUBLIC)
def test_a_public_class_is_in_the_reference(path):
    assert re.search(rf"auto(class|exception|function):: {re.escape(path)}\n", WRITTEN)


@pytest.mark.parametrize("path", [*TASKS_AND_HOOK, *SIMULATED, f"{triggers.__name__}.base.RunTrigger"])
def test_every_argument_is_described(path):
    cls = PUBLIC[path]
    if not inspect.isclass(cls):
        return
    told = described(cls)
    arguments = {one.name: one for one in arguments_of(cls)}
    assert set(arguments) <= set(told)
    for name, argument in arguments.items():
        if path in TASKS_AND_HOOK and argument.default is not inspect.Parameter.empty:
            assert "default" in told[name].lower(), name
        if "float" in str(argument.annotation) and name != "clock":
            assert any(unit in told[name] for unit in UNITS), name


@pytest.mark.parametrize("path", [*TASKS_AND_HOOK, TASK_GROUP])
def test_the_signature_has_what_the_docstring_describes_and_no_more(path):
    made = PUBLIC.get(path) or getattr(
        importlib.import_module(path.rpartition(".")[0]), path.rpartition(".")[2]
    )
    signature = inspect.signature(made.__init__ if inspect.isclass(made) else made)
    named = {one.name for one in signature.parameters.values() if one.kind.name[:3] != "VAR"} - {"self"}
    assert named == set(described(made)) - {"kwargs"}
    assert all(signature.parameters[name].annotation is not inspect.Parameter.empty for name in named)


TASKS = {path: cls for path, cls in TASKS_AND_HOOK.items() if hasattr(cls, "template_fields")}


@pytest.mark.parametrize("path", TASKS)
def test_a_task_says_what_is_templated_and_what_it_raises(path):
    told = described(TASKS[path])
    assert {name for name, text in told.items() if "(templated)" in text} == set(TASKS[path].template_fields)
    raised = set(re.findall(r":raises (\w+):", inspect.getdoc(TASKS[path])))
    assert raised >= {"AirflowException", "AirflowFailException", "DataRecsConfigException"}
    if issubclass(TASKS[path], RunSensor):
        assert raised >= {"AirflowSensorTimeout", "DataRecsRunNotSeen", "AirflowTaskTimeout"}


def test_every_argument_of_the_hook_is_described():
    for name, method in {**vars(ApiCalls), **vars(DataRecsHook)}.items():
        if inspect.isfunction(method) and not name.startswith("_"):
            parameters = set(inspect.signature(method).parameters) - {"self"}
            assert parameters <= set(described(method)), name
