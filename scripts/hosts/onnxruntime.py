"""Other ONNX hosts behind the face of the onnxruntime module.

With this folder in front of the module path, the judge of patched models runs as it is, on the host that HOST names.
A patched file that a host fails on counts against the patch only where the host runs the original: otherwise the error
is Unsupported, and run.sh does not count it.
"""

import base64
import json
import os
import subprocess

import numpy as np
import onnx

TYPES = {1: "tensor(float)", 10: "tensor(float16)", 11: "tensor(double)", 6: "tensor(int32)", 7: "tensor(int64)", 9: "tensor(bool)"}
HERE = os.path.dirname(os.path.abspath(__file__))


class Unsupported(Exception):
    """The host runs neither the patched file nor the original."""


class SessionOptions:
    log_severity_level = 0


class Value:
    """An input or output as onnxruntime tells of it."""

    def __init__(self, info):
        tensor = info.type.tensor_type
        self.name, self.type = info.name, TYPES[tensor.elem_type]
        self.shape = [d.dim_value if d.HasField("dim_value") else d.dim_param or None for d in tensor.shape.dim]


class InferenceSession:
    def __init__(self, path, options=None, providers=None):
        model = onnx.load(path, load_external_data=False)
        constants = {i.name for i in model.graph.initializer}
        self.path = path
        self.inputs = [Value(v) for v in model.graph.input if v.name not in constants]
        self.outputs = [Value(v) for v in model.graph.output]
        self.source = None
        for record in model.metadata_props:
            if record.key == "onnx-inject":
                self.source = os.path.join(os.path.dirname(path), json.loads(record.value)["source"]["file"])
        self.runner = None

    def get_inputs(self):
        return self.inputs

    def get_outputs(self):
        return self.outputs

    def run(self, names, feeds):
        try:
            if self.runner is None:
                self.runner = HOSTS[os.environ["HOST"]](self.path)
            got = self.runner(feeds)
            return [np.asarray(got[name]) for name in names or [o.name for o in self.outputs]]
        except Exception as failed:
            if self.source:
                original = InferenceSession(self.source)
                try:
                    original.run(None, {i.name: feeds[i.name] for i in original.inputs})
                except Exception as too:
                    raise Unsupported("the host does not run the original, either: " + " ".join(str(too).split())[:150])
            raise failed


def reference(path):
    """The evaluator of the ONNX standard itself, in numpy."""
    from onnx.reference import ReferenceEvaluator

    evaluator = ReferenceEvaluator(path)
    return lambda feeds: dict(zip(evaluator.output_names, evaluator.run(None, feeds)))


def openvino(path):
    import openvino as ov

    compiled = ov.Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})

    def run(feeds):
        got = compiled(feeds)
        return {name: got[port] for port in compiled.outputs for name in port.get_names()}

    return run


def tract(path):
    """A host in Rust. It wants to know the shapes before it opens a model, and then takes names of sizes in the file for other sizes."""
    import tract

    types = {"float32": "f32", "float16": "f16", "int64": "i64", "int32": "i32", "bool": "bool"}
    model = onnx.load(path, load_external_data=False)
    names = [o.name for o in model.graph.output]
    del model.graph.value_info[:]
    for output in model.graph.output:
        output.type.tensor_type.ClearField("shape")
    plain = path + ".plain.onnx"
    onnx.save(model, plain)
    opened = {}

    def run(feeds):
        shapes = tuple((name, array.shape) for name, array in feeds.items())
        if shapes not in opened:
            model = tract.onnx().load(plain)
            order = [model.input_name(i) for i in range(model.input_count())]
            for i, name in enumerate(order):
                model.set_input_fact(i, ",".join([*map(str, feeds[name].shape), types[feeds[name].dtype.name]]))
            opened[shapes] = order, model.into_model().into_runnable()
        order, runnable = opened[shapes]
        outputs = runnable.run([np.ascontiguousarray(feeds[name]) for name in order])
        return dict(zip(names, (o.to_numpy() for o in outputs)))

    return run


def web(path):
    """ONNX Runtime's WebAssembly build, in Node."""
    graph = onnx.load(path, load_external_data=False).graph
    external = {e.value for tensor in tensors(graph) for e in tensor.external_data if e.key == "location"}
    command = ["node", os.path.join(HERE, "web.mjs"), os.environ["PACKAGES"], path, *sorted(external)]
    node = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def answer():
        line = node.stdout.readline()
        if not line:
            raise RuntimeError("node has ended")
        got = json.loads(line)
        if "error" in got:
            raise RuntimeError(got["error"])
        return got

    def run(feeds):
        request = {name: {"type": array.dtype.name, "shape": array.shape, "data": base64.b64encode(array.tobytes()).decode()}
                   for name, array in feeds.items()}
        node.stdin.write(json.dumps(request) + "\n")
        node.stdin.flush()
        return {name: np.frombuffer(base64.b64decode(o["data"]), o["type"]).reshape(o["shape"]) for name, o in answer()["outputs"].items()}

    answer()
    return run


def tensors(graph):
    """Every tensor of a graph and its branches."""
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            if attribute.HasField("g"):
                yield from tensors(attribute.g)


HOSTS = {"reference": reference, "openvino": openvino, "tract": tract, "web": web}
