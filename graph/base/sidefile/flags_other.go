//go:build !unix

package sidefile

// This system has no such flags; the check before the file is opened is all there is.
const (
	noWait   = 0
	noFollow = 0
)
