"""The ONNX Runtime session: which provider runs it, and one call that gives every answer.

A session has one thread of its own. With more, the order in which trees are summed would depend on
the number of rows, and a job's answer with it (measured: nearly every row changes in its last
bits). Large batches are cut into rows by the caller instead; `run` releases the GIL.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import onnxruntime as ort
from loguru import logger
from numpy.typing import NDArray

from rt_predictor.errors import BundleError

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


class ModelSession:
    """The compiled ensemble. Thread-safe."""

    def __init__(
        self,
        graph: bytes,
        outputs: Sequence[str],
        providers: Literal["auto"] | Sequence[str] = "auto",
    ) -> None:
        """Compiles a serialised ONNX model.

        Raises BundleError where ONNX Runtime cannot read the graph or it lacks an output.
        """
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
            raise BundleError(f"ensemble.onnx cannot be loaded: {_first_line(error)}") from error
        names = {output.name for output in self._session.get_outputs()}
        missing = [name for name in outputs if name not in names]
        if missing:
            raise BundleError(
                f"ensemble.onnx has no output {missing[0]!r} (it has {', '.join(sorted(names))}): "
                "the bundle was made by another version; train it anew"
            )
        self._inputs = [item.name for item in self._session.get_inputs()]
        self._outputs = list(outputs)

    def run(self, *inputs: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """Scores n rows: an array for each of the graph's inputs -> one for each of the outputs."""
        given = dict(zip(self._inputs, inputs, strict=True))
        return self._session.run(self._outputs, given)  # type: ignore[no-any-return]

    def nodes_by_provider(self) -> dict[str, int]:
        """How many nodes of the optimised graph each provider really runs."""
        counts: Counter[str] = Counter()
        for part in self._session.get_provider_graph_assignment_info():
            counts[part.ep_name] += len(part.get_nodes())
        return dict(counts)


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
