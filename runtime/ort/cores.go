package ort

import (
	"fmt"
	"os"
	"path/filepath"
	goruntime "runtime"
	"strconv"
	"strings"
)

// CheckThreads refuses a number of threads that can only be a mistake. ONNX Runtime starts all threads with a session. It
// gains nothing from more threads than processors, and millions of threads exhaust the memory.
func CheckThreads(n int) error {
	if most := max(1024, 4*goruntime.NumCPU()); n < 0 || n > most {
		return fmt.Errorf("want 0 to %d, got %d", most, n)
	}
	return nil
}

// cores returns the number of threads that one operator should use: the number of physical cores that this process may
// run on, because two threads on one core share its arithmetic units. GOMAXPROCS already respects the affinity mask and
// the container's limit. A job of a Slurm cluster that sets neither still gets its number of cores in
// SLURM_CPUS_PER_TASK.
func cores() int {
	n := goruntime.GOMAXPROCS(0)
	if p := physical("/sys/devices/system/cpu"); p > 0 {
		n = min(n, p)
	}
	if s, err := strconv.Atoi(os.Getenv("SLURM_CPUS_PER_TASK")); err == nil && s > 0 {
		n = min(n, s)
	}
	return n
}

// physical counts the physical cores of a Linux machine: hardware threads of one core have the same list of siblings.
// It returns 0 when the system does not list them.
func physical(sys string) int {
	files, err := filepath.Glob(filepath.Join(sys, "cpu[0-9]*", "topology", "thread_siblings_list"))
	if err != nil {
		return 0 // only a malformed pattern fails
	}
	seen := map[string]bool{}
	for _, f := range files {
		if b, err := os.ReadFile(f); err == nil {
			seen[strings.TrimSpace(string(b))] = true
		}
	}
	return len(seen)
}
