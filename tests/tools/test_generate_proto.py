"""The generated code of the gRPC API and the program that writes it."""

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

PROTO = "proto/rt_predictor/v1/rt_predictor.proto"
GENERATED = "rt_predictor/api/v1"


def run(project: Path, root: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(project / "tools/generate_proto.py"), "--root", str(root)]
    return subprocess.run([*command, *options], capture_output=True, text=True, check=False)


@pytest.fixture
def copy(project: Path, tmp_path: Path) -> Path:
    """A copy of the proto file and of the code generated from it."""
    (tmp_path / PROTO).parent.mkdir(parents=True)
    shutil.copy(project / PROTO, tmp_path / PROTO)
    shutil.copytree(project / GENERATED, tmp_path / GENERATED)
    return tmp_path


def test_committed_code_is_what_the_proto_file_gives(project: Path) -> None:
    result = run(project, project, "--check")
    assert result.returncode == 0, result.stderr


def test_a_changed_proto_file_is_out_of_step_until_it_is_generated(
    project: Path, copy: Path
) -> None:
    with (copy / PROTO).open("a") as file:
        file.write("\nmessage Added { double runtime = 1; }\n")

    drift = run(project, copy, "--check")
    assert drift.returncode == 1
    assert f"{GENERATED}/rt_predictor_pb2.pyi is not what {PROTO} gives: run make proto" in (
        drift.stderr
    )
    assert "class Added" not in (copy / GENERATED / "rt_predictor_pb2.pyi").read_text()

    assert run(project, copy).returncode == 0
    assert "class Added" in (copy / GENERATED / "rt_predictor_pb2.pyi").read_text()
    assert run(project, copy, "--check").returncode == 0


def test_code_edited_by_hand_is_out_of_step(project: Path, copy: Path) -> None:
    (copy / GENERATED / "rt_predictor_pb2_grpc.py").write_text("edited = True\n")
    result = run(project, copy, "--check")
    assert result.returncode == 1
    assert [line.split()[0] for line in result.stderr.splitlines()] == [
        f"{GENERATED}/rt_predictor_pb2_grpc.py"
    ]


def test_missing_code_is_out_of_step(project: Path, copy: Path) -> None:
    (copy / GENERATED / "rt_predictor_pb2.pyi").unlink()
    assert run(project, copy, "--check").returncode == 1


def test_a_proto_file_with_a_mistake_is_refused_and_nothing_is_written(
    project: Path, copy: Path
) -> None:
    before = (copy / GENERATED / "rt_predictor_pb2.py").read_bytes()
    (copy / PROTO).write_text('syntax = "proto3"; message Broken { double = 1; }\n')
    result = run(project, copy)
    assert result.returncode == 1
    assert "protoc refused" in result.stderr
    assert (copy / GENERATED / "rt_predictor_pb2.py").read_bytes() == before


def test_the_package_asks_for_libraries_as_new_as_its_generated_code_needs(project: Path) -> None:
    """Generated code refuses to be imported beside an older protobuf or grpcio."""
    declaration = tomllib.loads((project / "pyproject.toml").read_text())
    oldest = {
        requirement.name: Version(specifier.version)
        for requirement in map(Requirement, declaration["project"]["dependencies"])
        for specifier in requirement.specifier
        if specifier.operator == ">="
    }
    messages = (project / GENERATED / "rt_predictor_pb2.py").read_text()
    stubs = (project / GENERATED / "rt_predictor_pb2_grpc.py").read_text()
    needed_protobuf = messages.split("# Protobuf Python Version: ")[1].split()[0]
    needed_grpcio = stubs.split("GRPC_GENERATED_VERSION = '")[1].split("'")[0]
    assert oldest["protobuf"] >= Version(needed_protobuf)
    assert oldest["grpcio"] >= Version(needed_grpcio)
