package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// patch returns the flags of the measured change: every layer's attention output exposed, a memory and a tau for every layer.
func patch(weights string) []string {
	return []string{"--expose", "attn_out", "--inject", "all", "--weights", weights}
}

// rewriteRef measures P1: a rewrite that refers to the original's bytes costs almost nothing compared with a copy, and its
// cost does not grow with the weights.
func rewriteRef(ctx context.Context, b *bench) ([]row, error) {
	small, err := b.small(ctx)
	if err != nil {
		return nil, err
	}
	xl, err := b.xl(ctx)
	if err != nil {
		return nil, err
	}
	ref, copied, big := b.out("ref.onnx"), b.out("cp.onnx"), b.out("xl.onnx")
	defer clear(b.out(""))
	got, err := compare(b.rounds,
		side{"rewrite ref", func() error { return clear(ref) }, func() (sample, error) { return b.rewrite(ctx, small, ref, patch("ref")...) }},
		side{"cp", func() error { return clear(copied) }, func() (sample, error) { return copyFile(ctx, small, copied) }},
		b.start(ctx),
	)
	if err != nil {
		return nil, err
	}
	if err := clear(copied); err != nil {
		return nil, err
	}
	sizes, err := compare(b.rounds,
		side{"rewrite ref, 6.2 GB", func() error { return clear(big) }, func() (sample, error) { return b.rewrite(ctx, xl, big, patch("ref")...) }},
		side{"rewrite ref, 0.5 GB", func() error { return clear(ref) }, func() (sample, error) { return b.rewrite(ctx, small, ref, patch("ref")...) }},
	)
	if err != nil {
		return nil, err
	}
	return []row{
		{id: "P1", what: "rewrite ref / cp, 0.5 GB", value: ratio(got[0], got[1]), goal: 0.05, note: times(got[:2]) + startNote(got[2])},
		{id: "P1", what: "rewrite ref, peak memory", value: megabytes(got[0].peak), unit: " MB", goal: 64},
		{id: "P1", what: "rewrite ref, 6.2 GB / 0.5 GB", value: ratio(sizes[0], sizes[1]), goal: 3, note: times(sizes)},
		{id: "P1", what: "rewrite ref, peak memory, 6.2 GB", value: megabytes(sizes[0].peak), unit: " MB", goal: 64},
	}, nil
}

// rewriteGenAI measures P1 for a folder of onnxruntime-genai with 1.2 billion parameters: every head exposed, a memory and a
// tau for every layer, in absolute terms.
func rewriteGenAI(ctx context.Context, b *bench) ([]row, error) {
	model, err := b.model(ctx, "llama-1b/model.onnx", "-size", "llama-1b", "-external", "-sparse")
	if err != nil {
		return nil, err
	}
	out := beside(model, "ref.onnx")
	defer clear(beside(model, ""))
	got, err := compare(b.rounds,
		side{"rewrite ref", func() error { return clear(out) }, func() (sample, error) {
			return b.rewrite(ctx, filepath.Dir(model), out, "--expose", "result", "--inject", "all", "--weights", "ref")
		}},
		b.start(ctx),
	)
	if err != nil {
		return nil, err
	}
	return []row{
		{id: "P1-genai", what: "rewrite ref, all heads, onnxruntime-genai, 5 GB", value: float64(got[0].wall) / 1e6, unit: " ms", goal: 30, note: "CPU " + seconds(got[0].cpu) + startNote(got[1])},
		{id: "P1-genai", what: "rewrite ref, all heads, peak memory", value: megabytes(got[0].peak), unit: " MB", goal: 64},
	}, nil
}

// againstPython measures P2: the same change with Python's onnx package, without the start of the interpreter.
func againstPython(ctx context.Context, b *bench) ([]row, error) {
	small, err := b.small(ctx)
	if err != nil {
		return nil, err
	}
	ref, saved := b.out("ref.onnx"), b.out("python.onnx")
	defer clear(b.out(""))
	python, err := b.pythonSide(ctx, small, saved)
	if err != nil {
		return nil, err
	}
	got, err := compare(b.rounds, python,
		side{"rewrite ref", func() error { return clear(ref) }, func() (sample, error) { return b.rewrite(ctx, small, ref, patch("ref")...) }},
	)
	if err != nil {
		return nil, err
	}
	return []row{{id: "P2", what: "Python onnx load+save / rewrite ref, 0.5 GB", value: ratio(got[0], got[1]), goal: 100, atLeast: true, note: times(got)}}, nil
}

// rewriteCopy measures P3: a rewrite that copies the weights costs about as much as a copy of the file.
func rewriteCopy(ctx context.Context, b *bench) ([]row, error) {
	small, err := b.small(ctx)
	if err != nil {
		return nil, err
	}
	out, copied := b.out("copy.onnx"), b.out("cp.onnx")
	defer clear(b.out(""))
	forget := func() error { return clear(b.out("")) } // one copy at a time, because unwritten pages of another would slow it down
	got, err := compare(b.rounds,
		side{"rewrite copy", forget, func() (sample, error) { return b.rewrite(ctx, small, out, patch("copy")...) }},
		side{"cp", forget, func() (sample, error) { return copyFile(ctx, small, copied) }},
		side{"cp and sync", forget, func() (sample, error) {
			start := time.Now()
			s, err := copyFile(ctx, small, copied)
			if err == nil {
				err = syncFile(copied)
			}
			s.wall = time.Since(start)
			return s, err
		}},
	)
	if err != nil {
		return nil, err
	}
	return []row{
		{id: "P3", what: "rewrite copy / cp, 0.5 GB", value: ratio(got[0], got[1]), goal: 1.3, note: times(got[:2])},
		{id: "P3", what: "rewrite copy / cp and sync, 0.5 GB", value: ratio(got[0], got[2]), goal: 1.3, note: seconds(got[2].wall)},
		{id: "P3", what: "rewrite copy, peak memory", value: megabytes(got[0].peak), unit: " MB", goal: 64},
	}, nil
}

// againstPythonXL measures P4, on real data and with fewer rounds, because one round takes most of a minute.
func againstPythonXL(ctx context.Context, b *bench) ([]row, error) {
	full, err := b.model(ctx, "xl-full.onnx", "-size", "xl", "-external")
	if err != nil {
		return nil, err
	}
	out, saved := b.out("copy.onnx"), b.out("python.onnx")
	defer clear(b.out(""))
	python, err := b.pythonSide(ctx, full, saved, "--external")
	if err != nil {
		return nil, err
	}
	forget := func() error { return clear(b.out("")) }
	python.prepare = forget
	got, err := compare(2, python,
		side{"rewrite copy", forget, func() (sample, error) { return b.rewrite(ctx, full, out, patch("copy")...) }},
	)
	if err != nil {
		return nil, err
	}
	return []row{
		{id: "P4", what: "Python onnx load+save / rewrite copy, 6.2 GB", value: ratio(got[0], got[1]), goal: 4, atLeast: true,
			note: times(got) + fmt.Sprintf("; best of 2; %.0f MB against %.0f MB", megabytes(got[0].peak), megabytes(got[1].peak))},
	}, nil
}

// pythonSide runs load_add_save.py on a model; its time is the time that the script prints.
func (b *bench) pythonSide(ctx context.Context, from, to string, flags ...string) (side, error) {
	python, err := b.python(ctx)
	if err != nil {
		return side{}, err
	}
	script := filepath.Join(b.cache, "load_add_save.py")
	if err := os.WriteFile(script, loadAddSave, 0o644); err != nil {
		return side{}, err
	}
	return side{"Python onnx", func() error { return clear(to) }, func() (sample, error) {
		s, out, err := process(ctx, python, append([]string{script, from, to}, flags...)...)
		if err != nil {
			return s, err
		}
		took, err := strconv.ParseFloat(strings.TrimSpace(string(out)), 64)
		s.wall = time.Duration(took * float64(time.Second))
		return s, err
	}}, nil
}

func syncFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

// times is the note of a ratio: both best times, and the share of them in which processors worked.
func times(s []sample) string {
	return fmt.Sprintf("%s / %s (CPU %s / %s)", seconds(s[0].wall), seconds(s[1].wall), seconds(s[0].cpu), seconds(s[1].cpu))
}
