package main

import (
	"bytes"
	"regexp"
	"testing"
	"time"

	"github.com/onnx-inject/onnx-inject/runtime/study/eval"
	"github.com/onnx-inject/onnx-inject/runtime/study/results"
	"github.com/onnx-inject/onnx-inject/runtime/study/stats"
)

// In a pipe, progress is one line per minute without control sequences.
func TestEvalProgressInPipe(t *testing.T) {
	var out bytes.Buffer
	b := evalProgress(&out)
	if b.every != time.Minute {
		t.Fatalf("one line every %v", b.every)
	}
	b.show(eval.Progress{Stage: eval.Running, Done: 10, All: 100})
	b.show(eval.Progress{Stage: eval.Running, Done: 11, All: 100})
	if out.Len() > 0 {
		t.Fatalf("within a minute: %q", &out)
	}
	b.start, b.shown = b.start.Add(-2*time.Minute), b.shown.Add(-2*time.Minute)
	b.show(eval.Progress{Stage: eval.Running, Done: 30, All: 100, Best: &stats.Leader{Point: results.Point{Layer: 7, Tau: 3}, LogOdds: 0.5}})
	b.end()
	want := regexp.MustCompile(`^onnx-inject: prompts 30 of 100, (10|9\.99|9\.9\d) per minute, 7m0s left, best so far layer 7 tau 3: log-odds \+0\.50\n$`)
	if !want.Match(out.Bytes()) {
		t.Errorf("got %q", &out)
	}
}
