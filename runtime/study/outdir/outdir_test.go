package outdir

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

type manifest struct {
	Name  string `json:"name"`
	Inner struct {
		Sizes []int   `json:"sizes,omitempty"`
		Tau   float64 `json:"tau"`
	} `json:"inner"`
	Note *string `json:"note"`
}

// Diff compares every field, also those of structs inside, and names them by their JSON path.
func TestDiff(t *testing.T) {
	var a, b manifest
	if got := Diff(a, b); got != "" {
		t.Errorf("two equal ones differ: %s", got)
	}
	note := "x"
	b.Name, b.Inner.Sizes, b.Inner.Tau, b.Note = "n", []int{1, 2}, 0.5, &note
	want := "name: \"\" in the folder, \"n\" now; inner.sizes: null in the folder, [1,2] now; inner.tau: 0 in the folder, 0.5 now; note: null in the folder, \"x\" now"
	if got := Diff(a, b); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// A sealed manifest is JSON, and a change of any byte of it is found or leaves no seal and no JSON.
func TestSeal(t *testing.T) {
	data, err := json.MarshalIndent(manifest{Name: "a"}, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	sealed := Seal(data)
	var m manifest
	if ok, err := CheckSeal(sealed); !ok || err != nil || json.Unmarshal(sealed, &m) != nil || m.Name != "a" {
		t.Fatalf("%v %v: %s", ok, err, sealed)
	}
	for i := range sealed {
		changed := append([]byte{}, sealed...)
		changed[i] ^= 1
		if ok, err := CheckSeal(changed); ok && err == nil {
			t.Errorf("the change of byte %d, %q, was not found", i, sealed[i])
		}
	}
	if ok, err := CheckSeal([]byte("{\n  \"name\": \"a\"\n}")); ok || err != nil {
		t.Errorf("without a seal: %v %v", ok, err)
	}
}

func TestOpen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a", "b")
	d, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path); !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), fmt.Sprintf("process %d is writing", os.Getpid())) {
		t.Errorf("a second writer: %v", err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if d, err = Open(path); err != nil {
		t.Fatal(err)
	}
	d.Close()
	if err := os.Symlink("elsewhere", filepath.Join(path, "data")); err != nil {
		t.Skip(err)
	}
	if _, err := Open(path, "data"); err == nil || !strings.Contains(err.Error(), "want a file, got a symbolic link") {
		t.Errorf("a link: %v", err)
	}
}
