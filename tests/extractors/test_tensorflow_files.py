"""Readers of TensorFlow's files: right numbers, and a clear error over whatever is damaged."""

import numpy as np
import pytest
from varkit_extractors.tensorflow_files import read_bundle, read_lite

from tests.support.tensor_bundle import field, write_bundle
from varkit.errors import CheckpointError

ARRAYS = {
    "layer-1/kernel": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
    "layer-1/bias": np.array([1.5, -2], np.float32),
    "step": np.array(7, np.float32),
}


def read_damaged(read, path, data):
    """Read other content; return what the reader says, or None if it reads it."""
    path.write_bytes(data)
    try:
        arrays = read()
    except CheckpointError as error:
        return error.what
    assert sum(array.codes.nbytes for array in arrays.values()) < 1_000_000
    return None


def flips(data):
    """Yield copies with a low or the high bit of one byte flipped."""
    for position, byte in enumerate(data):
        for bit in (position % 6, 7):
            yield data[:position] + bytes([byte ^ 1 << bit]) + data[position + 1 :]


def test_a_bundle_gives_the_arrays_that_were_written(tmp_path):
    arrays = read_bundle(write_bundle(tmp_path, ARRAYS))
    assert arrays.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(arrays[name].numbers(), array)


def test_a_damaged_bundle_is_an_error_or_other_arrays_and_no_more(tmp_path):
    write_bundle(tmp_path, ARRAYS)
    variables = tmp_path / "variables"
    index, numbers = variables / "variables.index", variables / "variables.data-00000-of-00001"
    whole = index.read_bytes()

    def read():
        return read_bundle(tmp_path)

    for length in range(len(whole)):
        assert read_damaged(read, index, whole[:length])
    said = [read_damaged(read, index, damaged) for damaged in flips(whole)]
    assert sum(text is not None for text in said) > len(said) / 3
    index.write_bytes(whole)
    data = numbers.read_bytes()
    assert "truncated" in read_damaged(read, numbers, data[:-1])


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda data: b"", "truncated"),
        (lambda data: data + bytes(2**20), "more than"),
        (lambda data: data[:-8] + bytes(8), "not the index"),
    ],
)
def test_what_is_wrong_with_an_index_is_said(tmp_path, damage, words):
    index = write_bundle(tmp_path, ARRAYS) / "variables" / "variables.index"
    index.write_bytes(damage(index.read_bytes()))
    with pytest.raises(CheckpointError, match=words):
        read_bundle(tmp_path)


def test_arrays_that_share_bytes_are_refused(tmp_path):
    """Or a small file could stand for very many numbers."""
    array = np.ones(4, np.float32)
    variables = write_bundle(tmp_path, {"a": array, "b": array}) / "variables"
    index, numbers = variables / "variables.index", variables / "variables.data-00000-of-00001"
    assert index.read_bytes().count(field(4, array.nbytes)) == 1
    index.write_bytes(index.read_bytes().replace(field(4, array.nbytes), field(4, 0)))
    numbers.write_bytes(array.tobytes())
    with pytest.raises(CheckpointError, match="its arrays share bytes"):
        read_bundle(tmp_path)


def test_a_folder_without_variables_is_said_to_lack_them(tmp_path):
    with pytest.raises(CheckpointError, match=r"variables\.index cannot be read: No such file"):
        read_bundle(tmp_path)


@pytest.fixture
def lite(tmp_path):
    """A small model: an array of float32, one of int8, and one that is computed."""
    pytest.importorskip("ai_edge_litert")
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    def tensor(name, shape, kind, buffer, scale=None):
        made = schema.TensorT()
        made.name, made.shape, made.type, made.buffer = name, shape, kind, buffer
        if scale is not None:
            made.quantization = schema.QuantizationParametersT()
            made.quantization.scale, made.quantization.zeroPoint = [scale], [0]
        return made

    def buffer(numbers):
        made = schema.BufferT()
        made.data = numbers.view(np.uint8)
        return made

    graph, model = schema.SubGraphT(), schema.ModelT()
    graph.tensors = [
        tensor("a", [2], schema.TensorType.FLOAT32, 1),
        tensor("b", [1, 3], schema.TensorType.INT8, 2, 0.5),
        tensor("computed", [9], schema.TensorType.FLOAT32, 0),
    ]
    graph.inputs, graph.outputs, graph.operators = [], [], []
    model.version, model.subgraphs, model.operatorCodes = 3, [graph], []
    model.buffers = [
        schema.BufferT(),
        buffer(np.array([1.5, -2], np.float32)),
        buffer(np.array([-128, 0, 127], np.int8)),
    ]
    builder = flatbuffers.Builder()
    builder.Finish(model.Pack(builder), b"TFL3")
    path = tmp_path / "model.tflite"
    path.write_bytes(bytes(builder.Output()))
    return path


def test_a_lite_model_gives_what_its_codes_stand_for(lite):
    arrays = read_lite(lite)
    assert arrays.keys() == {"a", "b"}
    np.testing.assert_array_equal(arrays["a"].numbers(), [1.5, -2])
    np.testing.assert_array_equal(arrays["b"].numbers(), [[-64, 0, 63.5]])


def test_a_damaged_lite_model_is_an_error_or_other_arrays_and_no_more(lite):
    whole = lite.read_bytes()
    for length in range(len(whole)):
        read_damaged(lambda: read_lite(lite), lite, whole[:length])
    said = [read_damaged(lambda: read_lite(lite), lite, damaged) for damaged in flips(whole)]
    assert sum(text is not None for text in said) > len(said) / 10


def test_the_published_lite_model_gives_the_arrays_that_its_runtime_has(real_data):
    interpreter = pytest.importorskip("ai_edge_litert.interpreter")
    path = real_data / "yamnet" / "yamnet.tflite"
    arrays, runner = read_lite(path), interpreter.Interpreter(str(path))
    theirs = {
        detail["name"]: runner.get_tensor(detail["index"])
        for detail in runner.get_tensor_details()
        if detail["name"] in arrays
    }
    assert len(theirs) == len(arrays) == 61
    for name, array in theirs.items():
        np.testing.assert_array_equal(arrays[name].codes, array)
