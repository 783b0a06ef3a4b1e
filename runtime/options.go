package runtime

import (
	"fmt"
	"strconv"
	"strings"
)

// Options are the settings of a session. The zero value suits one process with a whole machine: CPU, one thread for each
// physical core, all graph optimisations.
type Options struct {
	Device  Device
	Threads int   // threads inside one operator; 0 = one for each physical core
	Level   Level // how far the host may rewrite the graph
	// Yield makes idle worker threads sleep instead of spin. This is about a quarter slower for one prompt at a time, but
	// leaves more processor time to other programs.
	Yield bool
}

// Level is how far a host may rewrite a graph before it runs it. Levels change the last digits of results.
type Level int

const (
	Optimized  Level = iota // every rewrite that the host knows
	Basic                   // only rewrites that keep every operator's own arithmetic, such as constant folding
	Unmodified              // none: a graph and its patched copy compute the same bits
)

// Device is where a model runs. The zero value is the CPU.
type Device struct {
	CUDA  bool
	Index int // which CUDA device, from 0
}

// ParseDevice reads "cpu", "cuda" (device 0) or "cuda:N".
func ParseDevice(s string) (Device, error) {
	switch s {
	case "cpu":
		return Device{}, nil
	case "cuda":
		return Device{CUDA: true}, nil
	}
	if n, ok := strings.CutPrefix(s, "cuda:"); ok {
		// ParseUint refuses signs and spaces; 16 bits exceed the number of devices of any machine.
		i, err := strconv.ParseUint(n, 10, 16)
		if err != nil {
			return Device{}, fmt.Errorf("device %q: want a number from 0 after \"cuda:\", got %q", s, n)
		}
		return Device{CUDA: true, Index: int(i)}, nil
	}
	return Device{}, fmt.Errorf("device %q: want cpu, cuda or cuda:N", s)
}

// String is the inverse of [ParseDevice]: "cpu" or "cuda:N".
func (d Device) String() string {
	if d.CUDA {
		return "cuda:" + strconv.Itoa(d.Index)
	}
	return "cpu"
}
