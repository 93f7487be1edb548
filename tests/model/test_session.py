from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from rt_predictor.errors import BundleError
from rt_predictor.model.session import CPU, ModelSession, choose_providers


@pytest.fixture(scope="module")
def doubling() -> bytes:
    graph = helper.make_graph(
        [helper.make_node("Add", ["inputs", "inputs"], ["twice"])],
        "doubling",
        [helper.make_tensor_value_info("inputs", TensorProto.FLOAT, ["n", 2])],
        [helper.make_tensor_value_info("twice", TensorProto.FLOAT, ["n", 2])],
    )
    model: onnx.ModelProto = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10
    )
    return model.SerializeToString()


def test_it_gives_the_outputs_asked_for(doubling: bytes) -> None:
    session = ModelSession(doubling, "twice")
    twice = session.run(np.ones((3, 2), np.float32))
    np.testing.assert_array_equal(twice, np.full((3, 2), 2.0))


def test_one_row_is_answered_as_among_many_on_any_thread(doubling: bytes) -> None:
    session = ModelSession(doubling, "twice")
    rows = np.random.default_rng(4).random((400, 2), dtype=np.float32)
    with ThreadPoolExecutor(4) as threads:
        alone = list(threads.map(lambda row: session.run(rows[row : row + 1]), range(len(rows))))
    np.testing.assert_array_equal(np.concatenate(alone), session.run(rows))
    session._sole = None  # as where another provider than the CPU's may run it
    np.testing.assert_array_equal(session.run(rows[:1]), alone[0])


def test_a_row_of_another_width_is_refused(doubling: bytes) -> None:
    for rows in (1, 2):
        with pytest.raises(Exception, match=r"(?i)broadcast|dimension"):
            ModelSession(doubling, "twice").run(np.ones((rows, 3), np.float32))


def test_it_tells_which_provider_runs_each_node(doubling: bytes) -> None:
    assert ModelSession(doubling, "twice").nodes_by_provider() == {CPU: 1}


def test_a_missing_output_is_named(doubling: bytes) -> None:
    with pytest.raises(BundleError, match="inputs into twice, not one matrix into 'interval'"):
        ModelSession(doubling, "interval")


def test_bytes_that_are_no_graph_are_refused() -> None:
    with pytest.raises(BundleError, match="cannot be loaded"):
        ModelSession(b"junk", "twice")


def test_a_provider_that_is_not_available_is_skipped() -> None:
    chosen = choose_providers(("CoreML", "CPU"), (CPU,))
    assert chosen == (CPU,)


def test_the_cpu_always_comes_last() -> None:
    available = ("CoreMLExecutionProvider", CPU)
    assert choose_providers(("CPU", "CoreML"), available) == ("CoreMLExecutionProvider", CPU)
    assert choose_providers(("CoreML",), available) == ("CoreMLExecutionProvider", CPU)


def test_auto_is_what_the_graph_was_verified_on() -> None:
    assert choose_providers("auto", ("CoreMLExecutionProvider", CPU)) == (CPU,)


def test_a_graph_that_reads_other_files_is_refused(doubling: bytes) -> None:
    model = onnx.load_from_string(doubling)
    weights = model.graph.initializer.add(name="weights", data_type=TensorProto.FLOAT, dims=[2])
    weights.data_location = TensorProto.EXTERNAL
    weights.external_data.add(key="location", value="weights.bin")
    with pytest.raises(BundleError, match="reads other files, which no sum covers"):
        ModelSession(model.SerializeToString(), "twice")
