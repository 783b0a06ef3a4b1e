package eval

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The expected numbers are from CPython 3.11.
func TestTwister(t *testing.T) {
	var got []uint32
	r := newTwister(42)
	for range 5 {
		got = append(got, r.uint32())
	}
	if diff := cmp.Diff([]uint32{2746317213, 478163327, 107420369, 3184935163, 1181241943}, got); diff != "" {
		t.Error(diff)
	}
	for range 4995 {
		r.uint32()
	}
	if got := r.uint32(); got != 3270504139 {
		t.Errorf("draw 5001 is %d", got)
	}
	if got := newTwister(0).uint32(); got != 3626764237 {
		t.Errorf("seed 0 draws %d", got)
	}
	r = newTwister(42)
	var choices []int
	for range 3 {
		for _, n := range []int{1, 2, 3, 40, 64, 65, 5050} {
			choices = append(choices, r.below(n))
		}
	}
	if diff := cmp.Diff([]int{0, 0, 2, 17, 31, 28, 1143, 0, 0, 2, 27, 4, 3, 767, 0, 0, 2, 38, 3, 25, 4464}, choices); diff != "" {
		t.Error(diff)
	}
	if got := r.uint32(); got != 1801823908 {
		t.Errorf("after the choices: %d", got)
	}
}
