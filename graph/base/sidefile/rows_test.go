package sidefile

import (
	"io"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// Rows gives the fields of encoding/csv and, put together, the bytes of the file.
func TestRows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := strings.Join(rapid.SliceOf(rapid.SampledFrom([]string{"a,b\n", "\"x\ny\",\"\"\"\"\n", "1,2\r\n", "\n", strings.Repeat("z", 70_000) + ",\n"})).Draw(t, "rows"), "")
		r := NewRows(strings.NewReader(text), 80_000)
		var raw strings.Builder
		for {
			fields, err := r.Read()
			raw.Write(r.Raw())
			if err == io.EOF {
				break
			}
			if err != nil || len(fields) != 2 {
				t.Fatalf("%q, %v", fields, err)
			}
			if int(r.Offset()) != raw.Len() {
				t.Fatalf("offset %d after %d bytes", r.Offset(), raw.Len())
			}
		}
		if raw.String() != text {
			t.Fatalf("the rows have %q, the file %q", raw.String(), text)
		}
	})
}

// endless never ends a line, and fails when more is read of it than a row may have.
type endless struct{ left int }

func (e *endless) Read(p []byte) (int, error) {
	if e.left -= len(p); e.left < 0 {
		return 0, io.ErrNoProgress
	}
	return len(p), nil
}

func TestRowTooLong(t *testing.T) {
	for _, start := range []string{"", "\"", "a,b\n\""} {
		r := NewRows(io.MultiReader(strings.NewReader(start), &endless{4 << 20}), 1<<20)
		var err error
		for err == nil {
			_, err = r.Read()
		}
		if !strings.Contains(err.Error(), "want rows of at most 1 MiB, got more") {
			t.Errorf("%q: got %v", start, err)
		}
	}
}
