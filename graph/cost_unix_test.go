//go:build unix && !race

package graph_test

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/graph/graphtest"
)

// costOf names the environment variable that gives the helper process of TestRefusalsAreCheap its file.
const costOf = "ONNX_INJECT_TEST_COST"

// TestCostHelper loads one file. It tests nothing by itself.
func TestCostHelper(t *testing.T) {
	path := os.Getenv(costOf)
	if path == "" {
		return
	}
	debug.SetGCPercent(200) // as the command does
	m, err := graph.Load(path)
	if err == nil {
		m.Close()
	}
	fmt.Printf("%d %.2000v\n", peak(t), err)
}

// peak returns the largest amount of memory that this process has used. On Linux, what getrusage reports begins with the
// memory of the parent.
func peak(t *testing.T) int64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		var usage syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
			t.Fatal(err)
		}
		return usage.Maxrss
	}
	_, after, _ := strings.Cut(string(status), "VmHWM:")
	var kilobytes int64
	if _, err := fmt.Sscan(after, &kilobytes); err != nil {
		t.Fatal(err)
	}
	return kilobytes << 10
}

// TestRefusalsAreCheap loads every hostile file in a process of its own. A refusal must take less than 64 MB of memory, and
// little processor time: the goal is one second, and the test allows three, because a busy machine counts waiting for
// memory.
func TestRefusalsAreCheap(t *testing.T) {
	const maxMemory, maxTime = 64 << 20, 3 * time.Second
	type cost struct {
		name   string
		memory int64
		cpu    time.Duration
	}
	var costs []cost
	path := filepath.Join(t.TempDir(), "m.onnx")
	for _, row := range graphtest.HostileRows() {
		for _, h := range graphtest.Hostiles(row) {
			if h.Want == "" || len(h.Data) < 3000 { // a small file costs little, because its functions are limited
				if row != "A06" || h.Want == "" {
					continue
				}
			}
			if err := os.WriteFile(path, h.Data, 0o644); err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command(os.Args[0], "-test.run=^TestCostHelper$")
			cmd.Env = append(os.Environ(), costOf+"="+path)
			out, err := cmd.Output()
			if err != nil || !strings.Contains(string(out), h.Want) {
				t.Errorf("%s, %s: %v\n%s", row, h.Name, err, out)
			}
			var memory int64
			if _, err := fmt.Sscan(string(out), &memory); err != nil {
				t.Error(err)
			}
			c := cost{row + ", " + h.Name, memory, cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()}
			if c.memory > maxMemory || c.cpu > maxTime {
				t.Errorf("%s: %d MB, %v", c.name, c.memory>>20, c.cpu)
			}
			costs = append(costs, c)
		}
	}
	slices.SortFunc(costs, func(a, b cost) int { return cmp.Compare(b.memory, a.memory) })
	t.Logf("%d refusals; the most memory:", len(costs))
	for _, c := range costs[:5] {
		t.Logf("%4d MB %6.2f s  %s", c.memory>>20, c.cpu.Seconds(), c.name)
	}
	slices.SortFunc(costs, func(a, b cost) int { return cmp.Compare(b.cpu, a.cpu) })
	t.Log("the most time:")
	for _, c := range costs[:5] {
		t.Logf("%4d MB %6.2f s  %s", c.memory>>20, c.cpu.Seconds(), c.name)
	}
}
