//go:build !unix

package main

import (
	"os"
	"time"
)

// peak is not known on this system.
func peak(*os.ProcessState) int64 { return 0 }

// worked is not known on this system.
func worked() time.Duration { return 0 }
