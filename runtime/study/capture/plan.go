package capture

import (
	"cmp"
	"slices"
)

// FileMiB is the default size of the values of a file in MiB. A file has at least one prompt, whatever its size.
const FileMiB = 64

// prompt is a prompt of this shard.
type prompt struct {
	index int // in the data
	ids   []int64
	from  int // the first captured position
}

// rows is the number of rows of a prompt.
func (p *prompt) rows() int { return len(p.ids) - p.from }

// plan decides which file has which prompts, and which prompts run together. It depends only on its input.
type plan struct {
	prompts []prompt
	files   []file
	rows    int
}

// file is one safetensors file.
type file struct {
	prompts []int   // indexes in plan.prompts, in order
	offsets []int   // the first row of each prompt in the file
	rows    int     // of all prompts
	first   int     // the number of rows in earlier files
	batches [][]int // indexes in prompts
}

// newPlan makes files of whole prompts, and batches of the prompts of a file that have equal length. rowBytes is the size of a
// row of all hooks in a file, wideBytes its size in memory, maxFile the largest size of the values of a file, and most the largest
// batch.
func newPlan(prompts []prompt, rowBytes, wideBytes, maxFile int64, most int) *plan {
	p := &plan{prompts: prompts}
	var f *file
	for i := range prompts {
		n := prompts[i].rows()
		if f == nil || int64(f.rows+n)*rowBytes > maxFile {
			p.files = append(p.files, file{first: p.rows})
			f = &p.files[len(p.files)-1]
		}
		f.prompts, f.offsets = append(f.prompts, i), append(f.offsets, f.rows)
		f.rows += n
		p.rows += n
	}
	for i := range p.files {
		p.files[i].batch(prompts, wideBytes, most)
	}
	return p
}

// batch groups the prompts of a file by length. The batches are in the order of their first prompts.
func (f *file) batch(prompts []prompt, wideBytes int64, most int) {
	open := map[int]int{} // by length: the batch that has room
	for i, p := range f.prompts {
		n := len(prompts[p].ids)
		room := max(1, min(most, maxBatchTok/n, int(maxBatchBytes/(int64(n)*wideBytes))))
		b, ok := open[n]
		if !ok || len(f.batches[b]) >= room {
			b = len(f.batches)
			f.batches, open[n] = append(f.batches, nil), b
		}
		f.batches[b] = append(f.batches[b], i)
	}
	slices.SortStableFunc(f.batches, func(a, b []int) int { return cmp.Compare(a[0], b[0]) })
}

// of returns the prompts of a batch.
func (p *plan) of(f *file, batch []int) []*prompt {
	var out []*prompt
	for _, i := range batch {
		out = append(out, &p.prompts[f.prompts[i]])
	}
	return out
}

// idsOf returns the tokens of prompts.
func idsOf(prompts []*prompt) [][]int64 {
	var out [][]int64
	for _, p := range prompts {
		out = append(out, p.ids)
	}
	return out
}

// sample returns the tokens of the first batch of several prompts, nil when there is none.
func (p *plan) sample() [][]int64 {
	for i := range p.files {
		f := &p.files[i]
		for _, b := range f.batches {
			if len(b) > 1 {
				return idsOf(p.of(f, b))
			}
		}
	}
	return nil
}
