package isolate

import (
	"math"
	"syscall"
)

// LimitsMemory reports whether this system enforces a limit on memory.
const LimitsMemory = true

// AddressSpace returns the limit on the address space of this process (ulimit -v), 0 if there is none.
func AddressSpace() int64 {
	var r syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_AS, &r) != nil || r.Cur > math.MaxInt64 {
		return 0
	}
	return int64(r.Cur)
}

// PhysicalMemory returns the size of the machine's memory in bytes, 0 if it is unknown.
func PhysicalMemory() int64 {
	var i syscall.Sysinfo_t
	if syscall.Sysinfo(&i) != nil {
		return 0
	}
	return int64(i.Totalram) * int64(i.Unit)
}

// limitMemory limits the address space of this process, unless a smaller limit is set.
func limitMemory(bytes int64) error {
	var r syscall.Rlimit
	if bytes <= 0 {
		return nil
	}
	if err := syscall.Getrlimit(syscall.RLIMIT_AS, &r); err != nil {
		return err
	}
	r.Cur = min(r.Cur, uint64(bytes))
	return syscall.Setrlimit(syscall.RLIMIT_AS, &r)
}
