package runtimetest

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/runtime"
)

// Suite runs all conformance tests against a host. It uses o for every session.
func Suite(t *testing.T, h runtime.Host, o runtime.Options) {
	if h.Name() == "" {
		t.Error("the host has no name")
	}
	s := suite{h, o}
	for _, c := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"ports", s.ports}, {"dynamic shapes", s.dynamicShapes}, {"element types", s.elementTypes}, {"float16", s.float16},
		{"scalars", s.scalars}, {"undeclared shape", s.undeclaredShape}, {"empty cache", s.emptyCache}, {"no inputs", s.noInputs},
		{"wanted outputs", s.wantedOutputs}, {"refused feeds", s.refusedFeeds}, {"failing run", s.failingRun}, {"out of memory", s.outOfMemory}, {"tensor memory", s.tensorMemory},
		{"concurrent runs", s.concurrentRuns}, {"cancelled run", s.cancelledRun}, {"cancelled open", s.cancelledOpen}, {"close", s.close}, {"model files", s.modelFiles},
		{"kept outputs", s.keptOutputs}, {"written values", s.writtenValues}, {"types of values", s.valueTypes}, {"life of values", s.valueLife}, {"refused steps", s.refusedSteps},
		{"external data", s.externalData}, {"levels", s.levels},
	} {
		t.Run(c.name, c.run)
	}
}

type suite struct {
	host runtime.Host
	opts runtime.Options
}

func (s suite) open(t *testing.T, model []byte) runtime.Session {
	t.Helper()
	x, err := s.host.Open(t.Context(), runtime.Model{Bytes: model}, s.opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := x.Close(); err != nil {
			t.Error(err)
		}
	})
	return x
}

type feed = map[string]*graph.Tensor

func run(t *testing.T, x runtime.Session, in feed, want ...string) feed {
	t.Helper()
	out, err := x.Run(t.Context(), in, want...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func same(t *testing.T, got feed, want feed) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}
