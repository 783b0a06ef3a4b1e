package ops

import (
	"fmt"
	"strings"
	"testing"

	"github.com/onnx-inject/onnx-inject/graph"
)

// TestFollow follows each axis of h [b, head, t, 16] through the last node. The result is an axis of the output, or "-" if
// its slices are mixed, some of them are left out, or the axis is unknown.
func TestFollow(t *testing.T) {
	const head = `ir 8 opset 23 opset com.microsoft 1 graph main { in h: float32[b, 4, t, 16] in z: float32[b, 4, t, 16] in u: float32
		in one: int64[1] in index: int64[b, t] in wide: float32[2, b, 4, t, 16] in w: float32[16, 16]
		const a0 = int64[1] {0} const a1 = int64[1] {1} const a2 = int64[1] {2} const last = int64[1] {-1} const pair = int64[2] {0, 2}
		const s = int64[3] {-1, 4, 16} const shape = int64[5] {2, 1, 1, 1, 1} const rep = int64[4] {1, 2, 1, 1} const nd = int64[1, 1] {0} const number = int64[] {3} `
	for body, want := range map[string]string{
		"Cast(h) {to: 10}":                            "0 1 2 3",
		"Add(h, z)":                                   "0 1 2 3",
		"Where(z, h, z)":                              "0 1 2 3",
		"Mul(h, wide)":                                "- - - -", // axes are counted from the end there
		"Expand(h, shape)":                            "- - - -",
		"Reshape(h, s)":                               "0 - - -",
		"Flatten(h) {axis: 1}":                        "0 - - -",
		"Flatten(h) {axis: 0}":                        "- - - -",
		"Squeeze(h, a1)":                              "0 - 1 2",
		"Unsqueeze(h, a0)":                            "1 2 3 4",
		"Unsqueeze(h, pair)":                          "1 3 4 5",
		"Unsqueeze(h, last)":                          "0 1 2 3",
		"Squeeze(h, last)":                            "0 1 2 -",
		"Squeeze(h, one)":                             "- - - -",
		"Transpose(h)":                                "3 2 1 0",
		"Tile(h, rep)":                                "0 - 2 3",
		"Tile(h, one)":                                "- - - -",
		"Slice(h, a0, a1, a2)":                        "0 1 - 3",
		"Slice(h, one, one, last)":                    "0 1 2 -",
		"Slice(h, pair, pair)":                        "- - 2 3",
		"Slice(h, a0, a1, one)":                       "- - - -",
		"Split(h) {axis: -1}":                         "0 1 2 -",
		"Split(h)":                                    "- 1 2 3",
		"Gather(h, number) {axis: 1}":                 "0 - 1 2",
		"Gather(h, index) {axis: 1}":                  "0 - 3 4",
		"GatherND(h, nd)":                             "- 1 2 3",
		"GatherElements(h, index)":                    "- - - -",
		"Trilu(h)":                                    "0 1 - -",
		"Concat(h, z) {axis: -2}":                     "0 1 - 3",
		"Softmax(h) {axis: -1}":                       "0 1 2 -",
		"Softmax(h) {axis: 2}":                        "0 1 - -",
		"LayerNormalization(h, w)":                    "0 1 2 -",
		"RMSNormalization(h, w) {axis: 2}":            "0 1 - -",
		"ReduceMean(h, last)":                         "0 1 2 -",
		"ReduceMean(h, a1) {keepdims: 0}":             "0 - 1 2",
		"ReduceMax(h)":                                "- - - -",
		"MatMul(h, w)":                                "0 1 2 -",
		"MatMul(z, h)":                                "0 1 - -",
		"MatMul(h, wide)":                             "- - - -",
		"com.microsoft.FusedMatMul(h, z) {transA: 1}": "0 1 - -",
		"com.microsoft.MatMulNBits(h, w, w) {N: 16}":  "0 1 2 -",
		"DynamicQuantizeLinear(h)":                    "- - - -",
		"RotaryEmbedding(h, z, z)":                    "0 - - -",
		"Attention(h, z, z)":                          "0 - - -",
		"Attention(z, h, z)":                          "0 - - -",
		"CumSum(h, a0)":                               "- - - -", // not in the table
	} {
		m, err := graph.Parse(head + "y = " + body + " out y }")
		if err != nil {
			t.Fatalf("%s: %v", body, err)
		}
		n := m.Graph.Outputs()[0].Producer()
		slot := 0
		for n.In(slot) != m.Graph.Lookup("h") {
			slot++
		}
		var got []string
		for axis := range 4 {
			text := "-"
			if out, ok := Follow(n, slot, axis, NewFacts(Unlimited())); ok {
				text = fmt.Sprint(out)
			}
			got = append(got, text)
		}
		if s := strings.Join(got, " "); s != want {
			t.Errorf("%s: %s, want %s", body, s, want)
		}
	}
}

// The first axis is followed even if the file does not declare the others. Axes counted from the end are unknown then.
func TestFollowUnknownRank(t *testing.T) {
	for body, want := range map[string]string{
		"Softmax(u) {axis: -1}": "0 -", "Add(u, u)": "0 1", "MatMul(u, u)": "0 -", "Squeeze(u, last)": "- -", "Transpose(u) {perm: [1, 0, 2]}": "1 0", "Transpose(u)": "- -",
		"Concat(u, u) {axis: -1}": "0 -", "Concat(u, u) {axis: 1}": "0 -", "Unsqueeze(u, a1)": "0 2",
	} {
		m, err := graph.Parse("ir 8 opset 18 graph main { in u: float32 const last = int64[1] {-1} const a1 = int64[1] {1} y = " + body + " out y }")
		if err != nil {
			t.Fatalf("%s: %v", body, err)
		}
		var got []string
		for axis := range 2 {
			text := "-"
			if out, ok := Follow(m.Graph.Outputs()[0].Producer(), 0, axis, NewFacts(Unlimited())); ok {
				text = fmt.Sprint(out)
			}
			got = append(got, text)
		}
		if s := strings.Join(got, " "); s != want {
			t.Errorf("%s: %s, want %s", body, s, want)
		}
	}
}
