//go:build !unix

package sidefile

// This system has no such flags; the check before a file is opened is all there is.
const (
	NoFollow = 0
	noWait   = 0
)
