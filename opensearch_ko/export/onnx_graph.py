"""The same graph as an ONNX file that a node's onnxruntime 1.16 takes, in 32-bit floats or with 8-bit weights."""

from __future__ import annotations

import io
import logging
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path

import onnx
import torch
from torch import Tensor, nn

from opensearch_ko.export.graph import example_inputs
from retrieval_ko.errors import ModelError
from training_ko.libraries import quiet_libraries

SPARSE_INPUTS = ("input1.input_ids", "input1.attention_mask")
"""What ML Commons calls its two tensors; ONNX inputs are found by name (contract, 0.1)."""
OPSET = 17
"""onnxruntime 1.16 takes up to 19; 17 has every operation that the graphs need."""
LARGEST_IR = 9
"""Version of the file format; what PyTorch's newer exporter writes (10) is refused by the node."""
LARGEST_FILE_BYTES = 2**31 - 1
"""A protobuf file can't be larger, and a graph in two files can't be registered."""


class PositionalInputs(nn.Module):
    """A graph of ours with its tensors as arguments, in the order of `example_inputs`.

    Args:
        graph: takes a dict and returns one of a single tensor.
        with_types: whether a third tensor is taken, `token_type_ids`.
    """

    def __init__(self, graph: nn.Module, *, with_types: bool = False) -> None:
        super().__init__()
        self.graph = graph
        self.with_types = with_types

    def forward(self, ids: Tensor, mask: Tensor, types: Tensor | None = None) -> Tensor:
        """Return the graph's one tensor."""
        features = {"input_ids": ids, "attention_mask": mask}
        if types is not None:
            features["token_type_ids"] = types
        [output] = self.graph(features).values()
        return output  # type: ignore[no-any-return]


def to_onnx(graph: nn.Module, input_names: Sequence[str] = SPARSE_INPUTS, output_name: str = "output") -> bytes:
    """Return the graph as one ONNX file; batch size and length stay free.

    Args:
        graph: takes a dict of tensors and returns one of a single tensor, shape [batch, …].
        input_names: of ids and mask, and of the token types where the graph reads them.
        output_name: of the one tensor.

    Raises:
        ModelError: the graph uses an operation that ONNX lacks, or is larger than one file can be.
    """
    inputs = (*example_inputs(), torch.zeros_like(example_inputs()[0]))[: len(input_names)]
    axes = {name: {0: "batch", 1: "tokens"} for name in input_names} | {output_name: {0: "batch"}}
    buffer = io.BytesIO()
    try:
        with warnings.catch_warnings(), torch.no_grad(), quiet_libraries():
            warnings.simplefilter("ignore")  # the older exporter is deprecated, but the newer one writes a format that the node refuses
            torch.onnx.export(
                PositionalInputs(graph).eval(),
                inputs,
                buffer,  # type: ignore[arg-type]  # the older exporter takes a file object
                dynamo=False,
                opset_version=OPSET,
                input_names=list(input_names),
                output_names=[output_name],
                dynamic_axes=axes,
            )
    except (torch.onnx.errors.OnnxExporterError, RuntimeError) as failure:
        raise ModelError(
            f"The model can't be written as ONNX: {' '.join(str(failure).split())[:300]}", "Export it as TorchScript: --format torchscript"
        ) from failure
    if buffer.tell() > LARGEST_FILE_BYTES:
        raise ModelError("The model is larger than 2 GB, which one ONNX file can't be.", "Export it as TorchScript: --format torchscript")
    return _readable(onnx.load_from_string(buffer.getvalue()))


def quantized(file: bytes) -> bytes:
    """Return an ONNX file whose matrices are kept and multiplied in 8 bits; activations are scaled for each text.

    Biases, normalisation and the additions stay in 32-bit floats.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        source, target = Path(folder) / "fp32.onnx", Path(folder) / "int8.onnx"
        source.write_bytes(file)
        silenced = logging.root.manager.disable
        logging.disable(logging.WARNING)  # it recommends a pre-processing that the exporter has done
        try:
            quantize_dynamic(source, target, weight_type=QuantType.QInt8)
        finally:
            logging.disable(silenced)
        return _readable(onnx.load(target))


def _readable(model: onnx.ModelProto) -> bytes:
    model.ir_version = min(model.ir_version, LARGEST_IR)
    onnx.checker.check_model(model)
    return model.SerializeToString(deterministic=True)  # type: ignore[no-any-return]
