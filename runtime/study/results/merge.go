package results

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// Merge joins the shards of each evaluation and keeps different evaluations separate, in the order of the first shard of
// each. Shards belong together when their manifests differ only in the shard, the plan and the host. A prompt that is in
// several shards must have the same cells in all of them. Plan and host of the result combine those of all shards, such as
// "fanout + rows". Prompts may be missing: len(Prompts) is then less than Manifest.Prompts.
func Merge(runs []*Run) ([]*Run, error) {
	var out []*Run
	for _, r := range runs {
		i := slices.IndexFunc(out, func(o *Run) bool { return o.Manifest.whole().Diff(r.Manifest.whole()) == "" })
		if i < 0 {
			whole := *r.Manifest
			whole.Shard = Shard{Of: 1}
			out = append(out, &Run{Dir: r.Dir, Manifest: &whole, Prompts: slices.Clone(r.Prompts), Cells: slices.Clone(r.Cells), SideEffects: slices.Clone(r.SideEffects), Unsealed: r.Unsealed})
			continue
		}
		if err := out[i].add(r); err != nil {
			return nil, fmt.Errorf("merge results %q and %q: %w", out[i].Dir, r.Dir, err)
		}
	}
	for _, r := range out {
		slices.SortStableFunc(r.Prompts, func(a, b Prompt) int { return cmp.Compare(a.Index, b.Index) })
		slices.SortStableFunc(r.Cells, func(a, b Cell) int { return cmp.Compare(a.Prompt, b.Prompt) })
	}
	return out, nil
}

// whole returns the manifest without the fields in which shards of one evaluation may differ.
func (m *Manifest) whole() *Manifest {
	w := *m
	w.Shard, w.Plan, w.Host = Shard{}, Plan{}, Host{}
	return &w
}

// both combines the values of two shards for a field in which they may differ.
func both(a, b string) string {
	const and = " + "
	switch {
	case a == "":
		return b
	case b == "" || slices.Contains(strings.Split(a, and), b):
		return a
	}
	return a + and + b
}

func (r *Run) add(other *Run) error {
	m, o := r.Manifest, other.Manifest
	m.Plan = Plan{both(m.Plan.Used, o.Plan.Used), both(m.Plan.Reason, o.Plan.Reason)}
	m.Host = Host{both(m.Host.Name, o.Host.Name), both(m.Host.Version, o.Host.Version), both(m.Host.Device, o.Host.Device)}
	r.Unsealed = r.Unsealed || other.Unsealed
	twice := map[int]bool{}
	for _, p := range other.Prompts {
		if i := slices.IndexFunc(r.Prompts, func(q Prompt) bool { return q.Index == p.Index }); i < 0 {
			r.Prompts = append(r.Prompts, p)
		} else if !same(r.cellsOf(p.Index), other.cellsOf(p.Index)) {
			return fmt.Errorf("prompt %d is in both, with different cells", p.Index)
		} else {
			twice[p.Index] = true
		}
	}
	for _, c := range other.Cells {
		if !twice[c.Prompt] {
			r.Cells = append(r.Cells, c)
		}
	}
	return r.addSide(other)
}

func (r *Run) cellsOf(prompt int) []Cell {
	var out []Cell
	for _, c := range r.Cells {
		if c.Prompt == prompt {
			out = append(out, c)
		}
	}
	return out
}

// same compares cells as files store them, where a score without a number has no value.
func same(a, b []Cell) bool {
	return slices.EqualFunc(a, b, func(x, y Cell) bool {
		if !x.OK() {
			x.LogP, y.LogP = 0, 0
		}
		return reflect.DeepEqual(x, y)
	})
}
