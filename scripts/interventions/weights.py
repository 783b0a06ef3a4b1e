"""The parameters of a PyTorch model, read from the constants of an ONNX file.

Exporters keep the names of some parameters. Of the others, mostly matrices that the exporter transposed, the node that reads them knows the
module: from its name (TorchScript), from its metadata (dynamo), or from the constant's name (the builder of onnxruntime-genai).
"""

import ast
import re

import numpy as np
import onnx
import torch
from onnx import numpy_helper


def int4(packed, scales, columns):
    """Unpacks a matrix of MatMulNBits with symmetric blocks: [out, blocks, bytes], two weights in a byte, the low half first."""
    weights = np.stack([packed & 15, packed >> 4], -1).reshape(len(packed), scales.size // len(packed), -1) - 8.0
    return (weights * scales.reshape(len(packed), -1, 1)).reshape(len(packed), -1)[:, :columns]


def constants(graph):
    """Returns the constants of a graph by name, in double precision. Quantised ones get the name of the weight that they store."""
    stored = {i.name: numpy_helper.to_array(i) for i in graph.initializer}
    out = {name: value.astype(np.float64) for name, value in stored.items() if value.dtype == np.float32}
    for name, value in stored.items():
        if name.endswith("_quantized"):
            weight = name.removesuffix("_quantized")
            out[weight] = (value - stored[f"{weight}_zero_point"].astype(np.float64)) * stored[f"{weight}_scale"]
    for node in graph.node:
        if node.op_type == "MatMulNBits":
            columns = next(a.i for a in node.attribute if a.name == "K")
            weight = node.input[1].removesuffix("_Q4")
            out[weight] = int4(stored[node.input[1]], stored[node.input[2]], columns).T  # as a MatMul has it
        elif node.op_type == "Identity" and node.input[0] in out:  # equal constants are stored once
            out[node.output[0]] = out[node.input[0]]
    return out


def module(node):
    """Returns the name of the module that a node is part of, or "" if the file does not say."""
    scopes = next((p.value for p in node.metadata_props if p.key == "pkg.torch.onnx.name_scopes"), None)
    if scopes is not None:
        return ast.literal_eval(scopes)[-2].removeprefix(WRAPPER)
    return node.name.strip("/").rpartition("/")[0].replace("/", ".")


WRAPPER = "m."  # the module that the dynamo exports were made of: it has the model as m

# What the builder of onnxruntime-genai calls modules, as expressions that make transformers' names.
BUILDER = [
    (r"\.attn\.", ".self_attn."),
    (r"\.(MatMul|Add|layernorm)\.", "."),
    (r"model\.layers\.\d+\.final_norm_layernorm\.", "model.norm."),
]


def renamed(name):
    for pattern, name_of_transformers in BUILDER:
        name = re.sub(pattern, name_of_transformers, name)
    return name


class File:
    """The constants of a file by the names of parameters."""

    def __init__(self, path):
        graph = onnx.load(path).graph
        values = constants(graph)
        self.parameters = {name.removeprefix(WRAPPER): value for name, value in values.items()}
        self.products, self.gains = {}, {}  # by module: matrices as [in, out], gains of norms
        for name, value in values.items():
            of, _, what = renamed(name).rpartition(".")
            if ".MatMul." in name and what == "weight":
                self.products[of] = value
            elif renamed(name) != name:
                self.parameters[renamed(name)] = value
        for node in graph.node:
            for name in node.input:
                value = values.get(name.removesuffix("_quantized"))
                if value is None:
                    continue
                if node.op_type in ("MatMul", "MatMulInteger"):
                    self.products[module(node)] = value
                elif node.op_type == "Mul" and value.ndim == 1:
                    self.gains[module(node)] = value

    def parameter(self, name, shape):
        """Returns a parameter, or None when the file does not have it."""
        of, _, what = name.rpartition(".")
        if name in self.parameters:
            value = self.parameters[name]
        elif what == "weight" and of in self.gains:
            value = self.gains[of]
        elif what == "weight" and of in self.products:
            value = self.products[of].T
        elif of.endswith(("q_proj", "k_proj", "v_proj")):
            value = self._packed(of, what, shape[0])
        else:
            return None
        if value.shape != tuple(shape):
            raise ValueError(f"{name}: want shape {tuple(shape)}, got {value.shape}")
        return torch.tensor(np.ascontiguousarray(value))

    def _packed(self, of, what, rows):
        """Returns the rows of q, k or v in the projection that gives all three."""
        of, which = of[: -len("q_proj")] + "qkv_proj", of[-len("q_proj")]
        value = self.products[of].T if what == "weight" else self.parameters[f"{of}.{what}"]
        end = {"q": rows, "k": len(value) - rows, "v": len(value)}[which]  # k and v have equally many
        return value[end - rows : end]


def load(model, path, gain_plus_one=False):
    """Gives a model the weights of a file. gain_plus_one is for families whose norms multiply by 1 + weight, in files that store the sum."""
    file, names = File(path), {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        names.setdefault(parameter, []).append(name)  # several where matrices are tied
    with torch.no_grad():
        for parameter, aliases in names.items():
            value = next((v for v in (file.parameter(name, parameter.shape) for name in aliases) if v is not None), None)
            if value is None:
                raise ValueError(f"{path}: no constant for {' or '.join(aliases)}, shape {tuple(parameter.shape)}")
            if gain_plus_one and aliases[0].endswith("norm.weight"):
                value = value - 1
            parameter.copy_(value)
