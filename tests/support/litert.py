"""Runs YAMNet by ai-edge-litert: the published 8-bit model, or the same graph in float32."""

from __future__ import annotations

import warnings

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

FEATURES, SCORES = 121, 123
"""The numbers of the tensors in the graph."""
WINDOWS, COSINES, SINES, MEL = 6, 40, 41, 42


def run(model: bytes, clips) -> tuple[np.ndarray, np.ndarray]:
    """Return the (N, 1024) features and (N, 521) scores of (N, 15600) clips."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # keeping all tensors costs memory
        runner = Interpreter(
            model_content=model, experimental_preserve_all_tensors=True, num_threads=1
        )
    runner.allocate_tensors()
    made = []
    for clip in clips:
        runner.set_tensor(0, np.asarray(clip, np.float32)[None])
        runner.invoke()
        made.append([runner.get_tensor(n)[0].copy() for n in (FEATURES, SCORES)])
    features, scores = (np.stack(part) for part in zip(*made, strict=True))
    return features, scores


def in_float32(model: bytes, triangles: np.ndarray) -> bytes:
    """Return the graph with float32 in place of its 8-bit numbers.

    Weights keep the values that their codes stand for. The cosines, the sines and the mel weights,
    which the file has in 8 bits too, become exact.
    """
    made = schema.ModelT.InitFromPackedBuf(model, 0)
    graph = made.subgraphs[0]
    for tensor in graph.tensors:
        data = made.buffers[tensor.buffer].data
        if tensor.type == schema.TensorType.INT8 and data is not None:
            codes = np.frombuffer(bytes(data), np.int8).astype(np.float32)
            numbers = codes * np.float32(tensor.quantization.scale[0])
            made.buffers[tensor.buffer].data = numbers.view(np.uint8)
            tensor.type, tensor.quantization = schema.TensorType.FLOAT32, None
    angles = 2 * np.pi * np.outer(np.arange(257), np.arange(512)) / 512
    exact = {COSINES: np.cos(angles), SINES: np.sin(angles), MEL: triangles.T}
    for number, matrix in exact.items():
        buffer = made.buffers[graph.tensors[number].buffer]
        assert len(buffer.data) == 4 * matrix.size
        buffer.data = np.ascontiguousarray(matrix, np.float32).reshape(-1).view(np.uint8)
    # What turned codes into numbers has nothing left to do.
    kinds = [max(k.builtinCode, k.deprecatedBuiltinCode) for k in made.operatorCodes]
    renamed = {}
    for op in graph.operators:
        if kinds[op.opcodeIndex] == schema.BuiltinOperator.DEQUANTIZE:
            renamed[op.outputs[0]] = op.inputs[0]
        op.inputs = np.array([renamed.get(n, n) for n in op.inputs], np.int32)
    graph.operators = [op for op in graph.operators if op.outputs[0] not in renamed]
    builder = flatbuffers.Builder(len(model))
    builder.Finish(made.Pack(builder), b"TFL3")
    return bytes(builder.Output())
