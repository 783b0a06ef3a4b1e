//go:build !unix || solaris || aix

package atomicfile

import "os"

// hold does nothing: this system does not rename a file that is open, or has no such locks.
func hold(string) (*os.File, holding) { return nil, cannotTell }
