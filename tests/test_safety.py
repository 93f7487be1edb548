"""What the package never does: run what it reads, or take a path from a client."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import rt_predictor
from rt_predictor.api.v1 import rt_predictor_pb2 as pb

PACKAGE = Path(rt_predictor.__file__).parent
FILES = sorted(path for path in PACKAGE.rglob("*.py") if "v1" not in path.parts)
_MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "yaml"}
_BUILTINS = {"eval", "exec", "compile", "__import__"}
_OF_OS = {"system", "popen"}


def _forbidden(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from (one.name for one in names if one.name.split(".")[0] in _MODULES)
            case ast.ImportFrom(module=str(module)) if module.split(".")[0] in _MODULES:
                yield module
            case ast.Call(func=ast.Name(id=name)) if name in _BUILTINS:
                yield name
            case ast.Call(func=ast.Attribute(value=ast.Name(id="os"), attr=name)) if name in _OF_OS:
                yield name
            case ast.keyword(arg="shell", value=value) if not (
                isinstance(value, ast.Constant) and value.value is False
            ):
                yield "shell="
            case ast.keyword(arg="allow_pickle", value=value) if not (
                isinstance(value, ast.Constant) and value.value is False
            ):
                yield "allow_pickle="


def test_all_of_the_package_is_looked_at() -> None:
    assert len(FILES) > 150


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_nothing_that_is_read_is_run(path: Path) -> None:
    assert list(_forbidden(ast.parse(path.read_text()))) == []


@pytest.mark.parametrize(
    "code",
    [
        "import pickle",
        "from yaml import load",
        "import joblib.numpy_pickle",
        "eval('1')",
        "exec(code)",
        "os.system('ls')",
        "subprocess.run('ls', shell=True)",
        "np.load(path, allow_pickle=True)",
    ],
)
def test_what_is_looked_for_would_be_found(code: str) -> None:
    assert list(_forbidden(ast.parse(code)))


def test_no_request_has_a_path() -> None:
    """What comes from a client is numbers, names and tables; none of it is opened."""
    requests = [
        method.input_type for method in pb.DESCRIPTOR.services_by_name["RuntimePredictor"].methods
    ]
    fields = {field.name for message in requests for field in message.fields}
    fields |= {field.name for field in pb.JobOutcome.DESCRIPTOR.fields}
    assert fields
    assert not [name for name in fields if {"path", "file", "folder", "dir"} & set(name.split("_"))]
