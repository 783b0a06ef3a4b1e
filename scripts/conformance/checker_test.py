"""Tests of the checker itself: its feeds, and that it detects failures."""

import json
import tempfile
import unittest
from pathlib import Path
from types import SimpleNamespace as Object

import numpy as np

from compare import FAIL, OK, UNSUPPORTED, Result, check
from feeds import feeds
from reference import KINDS, Case, Injection, Reference, read_cases

IDS = np.array([[5, 6, 7], [8, 9, 1]])


def given(name, type, shape, ports={}):
    return feeds([Object(name=name, type=f"tensor({type})", shape=shape)], IDS, ports)[name]


class Feeds(unittest.TestCase):
    def test_values(self):
        cases = [
            ("input_ids", "int64", ["b", "s"], IDS),
            ("idx", "int32", ["b", "s"], IDS),
            ("attention_mask", "int64", ["b", "t"], np.ones((2, 3))),
            ("position_ids", "int64", ["b", "s"], [[0, 1, 2], [0, 1, 2]]),
            ("position_ids", "int64", ["s"], [0, 1, 2]),
            ("cache_position", "int64", ["s"], [0, 1, 2]),
            ("use_cache_branch", "bool", [1], [False]),
            ("num_logits_to_keep", "int64", [], 0),
            ("num_logits_to_keep", "int64", [1], [0]),
            ("seqlens_k", "int32", ["b"], [2, 2]),
            ("total_sequence_length", "int32", [], 3),
            ("past_key_values.0.key", "float16", ["b", 4, "past", 8], np.zeros((2, 4, 0, 8))),
            ("past_key_values.0.key", "float", [None, 4, -1, 8], np.zeros((2, 4, 0, 8))),
            ("past_0", "float", [2, "b", 4, "past", 8], np.zeros((2, 2, 4, 0, 8))),
            ("past_key_values.0", "float", ["b", "past", 16], np.zeros((2, 0, 16))),
        ]
        for name, type, shape, want in cases:
            with self.subTest(name=name, shape=shape):
                got = given(name, type, shape)
                np.testing.assert_array_equal(got, want, strict=False)
                self.assertEqual((got.shape, got.dtype), (np.shape(want), np.dtype({"float": "float32"}.get(type, type))))

    def test_ports_come_first(self):
        np.testing.assert_array_equal(given("idx", "float", ["b", "s"], {"idx": [[0.5]]}), [[0.5]])

    def test_unknown(self):
        with self.assertRaisesRegex(ValueError, "'encoder_hidden_states'.*does not know its value"):
            given("encoder_hidden_states", "float", ["b", "s", 8])


class Compare(unittest.TestCase):
    def result(self, got):
        result = Result("f", 0.1)
        result.compare("logits", "port", np.array(got), np.array([1.0, 2.0]))
        return result

    def test_within(self):
        self.assertEqual(self.result([1.05, 2]).outcome, OK)

    def test_outside(self):
        self.assertEqual(self.result([1.2, 2]).failures, ["port differs by 0.2: allowed 0.1"])

    def test_shape(self):
        self.assertEqual(self.result([[1.0, 2]]).failures, ["port has shape [1, 2]: expected [2]"])

    def test_nan(self):
        result = self.result([np.nan, 2])
        result.compare("logits", "port", np.array([0.0]), np.array([0.0]))
        self.assertEqual(result.failures, ["port differs by nan: allowed 0.1"])
        self.assertTrue(np.isnan(result.worst["logits"]))


def array(a):
    a = np.asarray(a, dtype=float)
    return {"shape": a.shape, "data": a.ravel().tolist()}


RNG = np.random.default_rng(1)
SHAPE = (2, 3, 4)  # of the stream: batch, positions, d_model
VALUES = {name: RNG.normal(size=SHAPE) for name in ("blocks.0.hook_resid_pre", "blocks.0.hook_attn_out", "blocks.0.hook_mlp_out")}
PATTERN = RNG.normal(size=(2, 1, 3, 3))
LOGITS, INJECTED = RNG.normal(size=(2, 3, 5)), RNG.normal(size=(2, 3, 5))


def write(folder):
    reference = {
        "layers": 1, "d_model": 4, "input_ids": IDS.tolist(), "logits": array(LOGITS), "memory": {"m": array([1, 2, 3, 4])},
        "activations": {n: array(v) for n, v in (VALUES | {"blocks.0.attn.hook_pattern": PATTERN}).items()},
        "injected": [{"layers": [0], "tau": 2.0, "memory": "m", "positions": "last", "logits": array(INJECTED), "site": "mlp_out"}],
    }
    (folder / "ref.json").write_text(json.dumps(reference))
    (folder / "m.onnx").write_bytes(b"")
    (folder / "cases.json").write_text(json.dumps([{"file": "m.onnx", "ref": "ref.json", "atol": 1e-6}]))


class References(unittest.TestCase):
    def test_sums_and_first(self):
        with tempfile.TemporaryDirectory() as folder:
            write(Path(folder))
            for first, positions in ((False, 3), (True, 1)):
                r = Reference(Path(folder) / "ref.json", first)
                by_name = {k.name: r.expected(k, 0) for k in KINDS}
                np.testing.assert_allclose(by_name["resid_post"], sum(VALUES.values())[:, :positions])
                np.testing.assert_array_equal(by_name["pattern"], PATTERN[:, :, :positions, :positions])
                self.assertIsNone(by_name["z"])
                self.assertEqual((r.logits.shape[1], len(r.injections)), (positions, 0 if first else 1))

    def test_tau_of_the_last_position(self):
        ports = Injection("mlp_out", [3], 2.0, np.arange(4), True, LOGITS).ports(3)
        np.testing.assert_array_equal(ports["blocks.3.hook_mlp_out.tau"].ravel(), [0, 0, 2])
        self.assertEqual(ports["blocks.3.hook_mlp_out.memory"].shape, (1, 1, 4))

    def test_unknown_key(self):
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "cases.json").write_text('[{"file": "m.onnx", "tolerance": 1}]')
            with self.assertRaisesRegex(ValueError, "m.onnx: unknown keys tolerance"):
                read_cases(Path(folder))


class Check(unittest.TestCase):
    """check with a subject that copies, and a host that returns the reference's values, changed by one fault."""

    def check(self, faults={}, offered=("attn_out", "resid_pre", "mlp_out", "pattern", "resid_post"), original=LOGITS):
        outputs = {"logits": LOGITS, "blocks.0.attn.hook_pattern": PATTERN, "blocks.0.hook_resid_post": sum(VALUES.values())} | VALUES
        outputs = {name: np.float32(v) for name, v in outputs.items()} | faults
        inputs = [Object(name=n, type="tensor(float)", shape=[]) for n in ("blocks.0.hook_mlp_out.memory", "blocks.0.hook_mlp_out.tau")]
        ids = Object(name="input_ids", type="tensor(int64)", shape=["b", "s"])

        def patched(names, feeds):
            injected = {"logits": INJECTED} if feeds["blocks.0.hook_mlp_out.tau"].any() else {}
            return {n: (outputs | injected)[n] for n in names}

        def open(path):
            if path.name == "m.onnx":
                return Object(inputs=[ids], outputs=["logits"], run=lambda names, feeds: {"logits": original})
            return Object(inputs=[ids, *inputs], outputs=[n for n, v in outputs.items() if v is not None], run=patched)

        subject = Object(kinds=lambda path: set(offered), patch=lambda *args: None)
        with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as scratch:
            write(Path(folder))
            return check(read_cases(Path(folder))[0], subject, Object(open=open, flags={}), Path(scratch))

    def test_good(self):
        result = self.check()
        self.assertEqual((result.outcome, result.failures, result.ports, result.injections), (OK, [], 5, 1))

    def test_faults(self):
        faults = [
            ({"blocks.0.hook_mlp_out": np.float32(VALUES["blocks.0.hook_mlp_out"] + 1)}, "blocks.0.hook_mlp_out differs by 1: allowed 1e-06"),
            ({"blocks.0.hook_attn_out": np.zeros((2, 3, 5), np.float32)}, "blocks.0.hook_attn_out has shape [2, 3, 5]: expected [2, 3, 4]"),
            ({"blocks.0.hook_attn_out": VALUES["blocks.0.hook_attn_out"]}, "blocks.0.hook_attn_out has type float64: expected float32"),
            ({"blocks.0.hook_resid_pre": None}, "the patched file has no output blocks.0.hook_resid_pre"),
            ({"blocks.0.hook_resid_post": np.full(SHAPE, np.nan, np.float32)}, "blocks.0.hook_resid_post differs by nan: allowed 1e-06"),
        ]
        for fault, want in faults:
            with self.subTest(want):
                result = self.check(fault)
                self.assertEqual((result.outcome, result.failures), (FAIL, [want]))

    def test_not_offered(self):
        result = self.check(offered=("attn_out", "resid_pre", "mlp_out"))
        self.assertEqual((result.outcome, result.ports), (FAIL, 3))
        self.assertIn("blocks.0.attn.hook_pattern is not offered", result.failures[0])

    def test_original(self):
        self.assertEqual(self.check(original=LOGITS + 1).outcome, UNSUPPORTED)


if __name__ == "__main__":
    unittest.main()
