//go:build !unix

package graph

import (
	"os"
	"testing"
)

// makeFIFO makes a folder instead, because the system has no named pipes in folders.
func makeFIFO(t *testing.T, path string) {
	t.Helper()
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
}
