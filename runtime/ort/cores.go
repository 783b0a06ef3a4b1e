package ort

import (
	"fmt"
	"os"
	"path/filepath"
	goruntime "runtime"
	"strconv"
	"strings"
)

// CheckThreads refuses a number of threads that can only be a mistake. ONNX Runtime starts all of them with a session and gains
// nothing by more than there are processors; millions take all memory.
func CheckThreads(n int) error {
	if most := max(1024, 4*goruntime.NumCPU()); n < 0 || n > most {
		return fmt.Errorf("want 0 to %d, got %d", most, n)
	}
	return nil
}

// cores is how many threads one operator should use: as many as there are physical cores that this process may run
// on, since two threads on one core share its arithmetic units. GOMAXPROCS already respects the affinity mask and the
// container's limit; a job of a Slurm cluster without either still says in SLURM_CPUS_PER_TASK what it was given.
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
// It returns 0 where the system does not tell.
func physical(sys string) int {
	files, err := filepath.Glob(filepath.Join(sys, "cpu[0-9]*", "topology", "thread_siblings_list"))
	if err != nil {
		return 0 // only a malformed pattern errs
	}
	seen := map[string]bool{}
	for _, f := range files {
		if b, err := os.ReadFile(f); err == nil {
			seen[strings.TrimSpace(string(b))] = true
		}
	}
	return len(seen)
}
