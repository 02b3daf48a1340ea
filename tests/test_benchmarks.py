"""Benchmarks are run seldom: what they use of the package can go away, or become something that Python cannot call."""

import ast
import importlib
import inspect
from pathlib import Path

import pytest
from numba.core.dispatcher import Dispatcher

NAMES = sorted(path.stem for path in (Path(__file__).parents[1] / "benchmarks").glob("*.py"))


def load(name):
    try:
        return importlib.import_module(f"benchmarks.{name}")
    except ModuleNotFoundError as error:
        if error.name.startswith(("benchmarks", "diffrender")):
            raise
        pytest.skip(f"needs {error.name}")


def kernel_calls(module):
    """Return the places where functions of a module that are not compiled call what only kernels can call."""
    found = []

    def called(node):
        if isinstance(node, ast.Name):
            return vars(module).get(node.id)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            return getattr(vars(module).get(node.value.id), node.attr, None)

    def look(node):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef) and child.decorator_list:
                continue  # perhaps compiled
            if isinstance(child, ast.Call):
                function = called(child.func)
                if isinstance(function, Dispatcher) and function.targetoptions.get("no_cpython_wrapper"):
                    found.append(f"{Path(module.__file__).name}:{child.lineno}: {ast.unparse(child.func)}")
            look(child)

    look(ast.parse(inspect.getsource(module)))
    return found


@pytest.mark.parametrize("name", NAMES)
def test_a_benchmark_can_be_imported(name):
    load(name)


@pytest.mark.parametrize("name", NAMES)
def test_a_benchmark_calls_only_what_python_can_call(name):
    assert kernel_calls(load(name)) == []
