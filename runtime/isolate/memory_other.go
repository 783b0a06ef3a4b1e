//go:build !linux

package isolate

// LimitsMemory reports whether this system enforces a limit on memory.
const LimitsMemory = false

// AddressSpace returns 0: this system enforces no such limit.
func AddressSpace() int64 { return 0 }

// PhysicalMemory returns 0: nothing here needs it.
func PhysicalMemory() int64 { return 0 }

// limitMemory does nothing on this system.
func limitMemory(int64) error { return nil }
