package ort

import (
	"os"
	"path/filepath"
	goruntime "runtime"
	"strconv"
	"testing"
)

func TestPhysical(t *testing.T) {
	for _, c := range []struct {
		name     string
		siblings []string // of hardware threads 0, 1, ...
		want     int
	}{
		{"two threads a core", []string{"0,2", "1,3", "0,2", "1,3"}, 2},
		{"one thread a core", []string{"0", "1", "2"}, 3},
		{"unknown", nil, 0},
	} {
		sys := t.TempDir()
		for i, s := range c.siblings {
			dir := filepath.Join(sys, "cpu"+strconv.Itoa(i), "topology")
			if err := os.MkdirAll(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, "thread_siblings_list"), []byte(s+"\n"), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if got := physical(sys); got != c.want {
			t.Errorf("%s: got %d, want %d", c.name, got, c.want)
		}
	}
}

func TestCheckThreads(t *testing.T) {
	for n, ok := range map[int]bool{-1: false, 0: true, 1: true, goruntime.NumCPU(): true, 1024: true, 9_999_999: false} {
		if err := CheckThreads(n); (err == nil) != ok {
			t.Errorf("%d threads: %v", n, err)
		}
	}
}

func TestCores(t *testing.T) {
	t.Setenv("SLURM_CPUS_PER_TASK", "")
	if n := cores(); n < 1 || n > goruntime.GOMAXPROCS(0) {
		t.Errorf("%d cores of %d", n, goruntime.GOMAXPROCS(0))
	}
	t.Setenv("SLURM_CPUS_PER_TASK", "1")
	if n := cores(); n != 1 {
		t.Errorf("a task with 1 allotted core uses %d", n)
	}
}
