package steer

import (
	"slices"
	"testing"

	"github.com/onnx-inject/onnx-inject/models/inputs"
	"github.com/onnx-inject/onnx-inject/rewrite"
)

// Without the cache a file takes and gives no keys and values, and everything else that it gives has the numbers that it had.
func TestPrefill(t *testing.T) {
	for _, c := range fixtures(t) {
		if c.First { // there is no prompt that such a file takes
			continue
		}
		t.Run(c.File, func(t *testing.T) { checkPrefill(t, c) })
	}
}

func checkPrefill(t *testing.T, c fixture) {
	t.Helper()
	var ref reference
	readJSON(t, testdata+"/"+c.Ref, &ref)
	m, l := located(t, c.File)
	in, err := inputs.Read(m, l)
	if err != nil {
		t.Fatal(err)
	}
	before := run(t, m, in, ref.InputIDs, nil)
	if _, l, err = rewrite.Apply(t.Context(), m, l, rewrite.Request{Prefill: true}); err != nil {
		t.Fatal(err)
	}
	if in, err = inputs.Read(m, l); err != nil {
		t.Fatal(err)
	}
	for _, r := range in.Roles {
		if r.Role == inputs.RolePast || r.Role == inputs.RoleCacheBranch {
			t.Errorf("input %q is left of the cache", r.Name)
		}
	}
	after := run(t, m, in, ref.InputIDs, nil)
	compare(t, "logits", after[l.Logits().Name()], ref.Logits, c.Atol)
	for name, x := range before {
		y := after[name]
		switch cache := len(x.Dims) >= 4; {
		case cache && y != nil:
			t.Errorf("output %q is left of the cache", name)
		case !cache && (y == nil || !slices.Equal(x.Dims, y.Dims)):
			t.Errorf("output %q was %v, is %v", name, x, y)
		}
	}
}
