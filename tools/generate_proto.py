"""Writes the generated code of the gRPC API, rt_predictor/api/v1, from proto/: `make proto`.

    python tools/generate_proto.py [--check] [--root DIR]

`--check` writes nothing and fails when what is there is not what the proto file gives. Besides
messages and stubs, mypy-protobuf writes their types, for the asyncio stubs too.
"""

import argparse
import shutil
import sys
import sysconfig
import tempfile
from importlib import resources
from pathlib import Path

from grpc_tools import protoc

PROJECT = Path(__file__).resolve().parents[1]
PROTO_FOLDER = "proto/rt_predictor/v1"
PACKAGE_FOLDER = "rt_predictor/api/v1"
PROTO = "rt_predictor.proto"
GENERATED = (
    "rt_predictor_pb2.py",
    "rt_predictor_pb2.pyi",
    "rt_predictor_pb2_grpc.py",
    "rt_predictor_pb2_grpc.pyi",
)


class GenerationError(Exception):
    """protoc refused the proto file; it has said why on stderr."""


def generate(root: Path, output: Path) -> None:
    """Writes the generated code of the project at `root` under the folder `output`."""
    scripts = Path(sysconfig.get_path("scripts"))
    arguments = [
        "protoc",
        # Makes the proto file appear under the package's path: imports in the output follow it.
        f"--proto_path={PACKAGE_FOLDER}={root / PROTO_FOLDER}",
        f"--proto_path={resources.files('grpc_tools') / '_proto'}",
        f"--plugin=protoc-gen-mypy={scripts / 'protoc-gen-mypy'}",
        f"--plugin=protoc-gen-mypy_grpc={scripts / 'protoc-gen-mypy_grpc'}",
        f"--python_out={output}",
        f"--grpc_python_out={output}",
        f"--mypy_out=quiet:{output}",
        f"--mypy_grpc_out=quiet:{output}",
        f"{PACKAGE_FOLDER}/{PROTO}",
    ]
    if protoc.main(arguments) != 0:
        raise GenerationError(f"protoc refused {root / PROTO_FOLDER / PROTO}")


def drifted(fresh: Path, present: Path) -> list[str]:
    """Names of generated files that are missing in the folder `present` or differ from `fresh`."""
    return [
        name
        for name in GENERATED
        if not (present / name).exists()
        or (present / name).read_bytes() != (fresh / name).read_bytes()
    ]


def main() -> int:
    """Exit code: 0 written, or in step; 1 out of step, or the proto file is not valid."""
    parser = argparse.ArgumentParser(description="Generates the gRPC API's code from proto/.")
    parser.add_argument("--check", action="store_true", help="only say whether it is in step")
    parser.add_argument("--root", type=Path, default=PROJECT, help="the project's folder")
    options = parser.parse_args()
    present = options.root / PACKAGE_FOLDER
    with tempfile.TemporaryDirectory() as folder:
        try:
            generate(options.root.resolve(), Path(folder))
        except GenerationError as error:
            print(error, file=sys.stderr)
            return 1
        fresh = Path(folder) / PACKAGE_FOLDER
        changed = drifted(fresh, present)
        if options.check:
            for name in changed:
                print(
                    f"{PACKAGE_FOLDER}/{name} is not what {PROTO_FOLDER}/{PROTO} gives: "
                    "run make proto",
                    file=sys.stderr,
                )
            return 1 if changed else 0
        present.mkdir(parents=True, exist_ok=True)
        for name in changed:
            shutil.copyfile(fresh / name, present / name)
            print(f"wrote {PACKAGE_FOLDER}/{name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
