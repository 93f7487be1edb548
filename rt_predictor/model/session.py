"""The ONNX Runtime session: which provider runs it, and one call that gives every answer.

A session has one thread of its own. With more, the order in which trees are summed would depend on
the number of rows, and a job's answer with it (measured: nearly every row changes in its last
bits). Large batches are cut into rows by the caller instead; `run` releases the GIL.
"""

import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import onnxruntime as ort
from loguru import logger
from numpy.typing import NDArray

from rt_predictor.errors import BundleError

Float32 = NDArray[np.float32]

CPU = "CPUExecutionProvider"
_OPTIONS: Mapping[str, Mapping[str, str]] = {
    # Elsewhere CoreML may compute in half precision, and a last bit at a split is another leaf.
    "CoreMLExecutionProvider": {"MLComputeUnits": "CPUOnly"},
}
"""Options of providers that would change answers without them."""


def choose_providers(
    wanted: Literal["auto"] | Sequence[str], available: Sequence[str]
) -> tuple[str, ...]:
    """The providers to use, in order of preference; the CPU provider always comes last.

    `auto` is the CPU provider alone: it is the only one that has tree operators, and the one that
    the graph was verified on. One that is wanted but not available is skipped with a log line.
    """
    if wanted == "auto":
        return (CPU,)
    chosen = []
    for name in (_full_name(name) for name in wanted):
        if name in available:
            chosen.append(name)
        else:
            logger.warning(
                "provider {} is not available here and is skipped (available: {})",
                name,
                ", ".join(available),
            )
    return (*(name for name in dict.fromkeys(chosen) if name != CPU), CPU)


def _full_name(name: str) -> str:
    return name if name.endswith("ExecutionProvider") else f"{name}ExecutionProvider"


_EXTERNAL = b"location"
"""Names, in a tensor of an ONNX graph, the file that it is read from. Ours never say it."""


class ModelSession:
    """A compiled graph of one input and one output that counts. Thread-safe."""

    def __init__(
        self, graph: bytes, output: str, providers: Literal["auto"] | Sequence[str] = "auto"
    ) -> None:
        """Compiles a serialised ONNX model.

        Raises BundleError where ONNX Runtime cannot read the graph, it lacks the output or has
        other inputs than one of rows.
        """
        if _EXTERNAL in graph:
            raise BundleError(
                "graph.onnx reads other files, which no sum covers: make it with its weights inside"
            )
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
        # One row is 8 % quicker where no buffer is looked for to be used again; bulk is the same.
        options.enable_mem_reuse = False
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
        options.log_severity_level = 3
        chosen = choose_providers(providers, ort.get_available_providers())
        with_options = [(name, dict(_OPTIONS.get(name, {}))) for name in chosen]
        try:
            self._session = ort.InferenceSession(graph, options, providers=with_options)
        except Exception as error:  # ONNX Runtime's own exceptions share no useful base class
            raise BundleError(f"graph.onnx cannot be loaded: {_first_line(error)}") from error
        given = [item.name for item in self._session.get_inputs()]
        said = [item.name for item in self._session.get_outputs()]
        if output not in said or len(given) != 1:
            raise BundleError(
                f"graph.onnx turns {', '.join(given)} into {', '.join(said)}, not one matrix "
                f"into {output!r}: the bundle was made by another version; train it anew"
            )
        (self._input,) = given
        self._outputs = [output]
        # What is bound once is read where it lies, which other devices do not do.
        on_cpu = self._session.get_providers() == [CPU]
        self._sole = _Sole(self._session, output) if on_cpu else None

    def run(self, rows: Float32) -> Float32:
        """What the graph says of n rows."""
        if len(rows) == 1 and self._sole is not None:
            return self._sole.run(rows)
        found: Float32 = self._session.run(self._outputs, {self._input: rows})[0]
        return found

    def nodes_by_provider(self) -> dict[str, int]:
        """How many nodes of the optimised graph each provider really runs."""
        counts: Counter[str] = Counter()
        for part in self._session.get_provider_graph_assignment_info():
            counts[part.ep_name] += len(part.get_nodes())
        return dict(counts)


class _Sole(threading.local):
    """Room for one row and what is said of it, bound to the graph once; a thread has its own.

    To look through what a call is given, and to make room for the answer, costs a fifth of what one
    row takes.
    """

    def __init__(self, session: ort.InferenceSession, output: str) -> None:
        (given,) = session.get_inputs()
        (said,) = (item for item in session.get_outputs() if item.name == output)
        self._session = session
        self._row, self._answer = (
            # The number of rows is the only size that a graph leaves open.
            np.zeros([size if isinstance(size, int) else 1 for size in shape], np.float32)
            for shape in (given.shape, said.shape)
        )
        self._binding = session.io_binding()
        self._binding.bind_cpu_input(given.name, self._row)
        self._binding.bind_output(
            output, "cpu", 0, np.float32, self._answer.shape, self._answer.ctypes.data
        )

    def run(self, rows: Float32) -> Float32:
        self._row[:] = rows
        self._session.run_with_iobinding(self._binding)
        return self._answer.copy()


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
