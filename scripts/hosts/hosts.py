"""ONNX hosts other than ONNX Runtime's own library, in the form that scripts/conformance/host.py describes."""

import base64
import json
import os
import subprocess
from pathlib import Path

import numpy as np
import onnx

TYPES = {1: "tensor(float)", 10: "tensor(float16)", 11: "tensor(double)", 6: "tensor(int32)", 7: "tensor(int64)", 9: "tensor(bool)"}
HERE = Path(__file__).resolve().parent


class Input:
    """A declared input, in onnxruntime's form."""

    def __init__(self, info):
        tensor = info.type.tensor_type
        self.name, self.type = info.name, TYPES[tensor.elem_type]
        self.shape = [d.dim_value if d.HasField("dim_value") else d.dim_param or None for d in tensor.shape.dim]


class Session:
    def __init__(self, path, runner):
        graph = onnx.load(path, load_external_data=False).graph
        constants = {i.name for i in graph.initializer}
        self.inputs = [Input(v) for v in graph.input if v.name not in constants]
        self.outputs = [v.name for v in graph.output]
        self._run = runner(str(path))

    def run(self, names, feeds):
        got = self._run(feeds)
        return {name: np.asarray(got[name]) for name in names}


class Host:
    """A host with its runner: a function that opens a path and returns a function from feeds to all outputs."""

    def __init__(self, runner, flags={}):
        self.runner, self.flags = runner, flags

    def open(self, path):
        return Session(path, self.runner)


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
    """A host in Rust. It requires all shapes before it opens a model, and then rejects a file that names sizes differently."""
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
    """ONNX Runtime's WebAssembly build, in Node. $PACKAGES is the folder that npm installed it in."""
    graph = onnx.load(path, load_external_data=False).graph
    external = {e.value for tensor in tensors(graph) for e in tensor.external_data if e.key == "location"}
    return program(["node", HERE / "web.mjs", os.environ["PACKAGES"], path, *sorted(external)])


def java(path):
    """ONNX Runtime's Java package. It unpacks the library into a folder that it leaves: beside the model, which is in a scratch folder."""
    jar = subprocess.run([HERE / "jar.sh"], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
    options = [f"-Djava.io.tmpdir={Path(path).parent}", "-XX:TieredStopAtLevel=1"]  # the compiler of Host.java runs too short for more levels
    return program(["java", *options, "-cp", jar, HERE / "Host.java", path])


def program(command):
    """Starts a program that runs one model. It reads feeds and writes outputs as lines of JSON, and first {} when it has opened the model."""
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def answer():
        line = child.stdout.readline()
        if not line:
            raise RuntimeError(f"{command[0]} has ended")
        got = json.loads(line)
        if "error" in got:
            raise RuntimeError(got["error"])
        return got

    def run(feeds):
        request = {name: {"type": array.dtype.name, "shape": array.shape, "data": base64.b64encode(array.tobytes()).decode()}
                   for name, array in feeds.items()}
        child.stdin.write(json.dumps(request) + "\n")
        child.stdin.flush()
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


HOSTS = {
    "reference": Host(reference),
    "openvino": Host(openvino),
    "tract": Host(tract),
    "java": Host(java),
    # WebAssembly reads weights outside the model file for initializers and constants of the main graph only. A merged model has
    # constants in the branches of its If.
    "web": Host(web, {"optimum-1-merged.onnx": ["--weights", "embed"]}),
}
