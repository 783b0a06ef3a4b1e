//go:build !unix

package main

import (
	"os"
	"time"
)

// peak is unknown on this system.
func peak(*os.ProcessState) int64 { return 0 }

// worked is unknown on this system.
func worked() time.Duration { return 0 }
