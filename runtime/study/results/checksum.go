package results

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"iter"
	"slices"

	"github.com/onnx-inject/onnx-inject/models"
	"github.com/onnx-inject/onnx-inject/runtime/study/outdir"
)

// checksumColumn is the last column of prompts.csv. It holds the SHA-256, in hexadecimal, of the prompt's row up to the comma
// before this column, followed by the prompt's rows in cells.csv, byte by byte. A shard has the same rows as the whole.
//
// The manifest has a checksum too: see [outdir.Seal]. Folders of earlier versions have neither.
const checksumColumn = "sha256"

// digest starts the checksum of a prompt. The rows of its cells follow.
func digest(row []byte) hash.Hash {
	h := sha256.New()
	h.Write(row)
	return h
}

func hexSum(h hash.Hash) string { return hex.EncodeToString(h.Sum(nil)) }

// beforeLast returns a row up to its last comma, which is included.
func beforeLast(row []byte) []byte { return row[:bytes.LastIndexByte(row, ',')+1] }

// damaged reports that a file was changed after it was written.
func damaged(format string, args ...any) error { return outdir.Damaged(format, args...) }

// owns reports whether a prompt belongs to the evaluation.
func (m *Manifest) owns(prompt int) bool {
	return prompt >= 0 && prompt < m.Prompts && (m.Shard.Of < 2 || prompt%m.Shard.Of == m.Shard.Index)
}

// Points lists the points of the grid in the order of the cells: by source, site, layer, head and tau.
func (m *Manifest) Points() iter.Seq[Point] {
	return func(yield func(Point) bool) {
		for _, source := range m.Memories {
			for _, site := range m.EachSite() {
				if site == models.DefaultSite {
					site = ""
				}
				for _, layer := range m.Layers {
					for _, head := range m.EachHead() {
						for _, tau := range m.Taus {
							if !yield(Point{source.Name, site, layer, head, tau}) {
								return
							}
						}
					}
				}
			}
		}
	}
}

// checkGrid requires the cells of a prompt to be those of the grid, each once and in order. How many memories a source has, the
// manifest does not say; it is the same number everywhere.
func (m *Manifest) checkGrid(cells []Cell) error {
	at := 0
	memories := map[string]int{} // by source
	for point := range m.Points() {
		seen := map[string]bool{}
		for ; at < len(cells) && cells[at].Point() == point; at++ {
			if c := cells[at]; seen[c.Memory] {
				return damaged("the cell %v appears twice", c.key())
			} else if c.Encoding != "" && c.Encoding != m.Encoding {
				return damaged("the cell %v has the encoding %q, %s has %q", c.key(), c.Encoding, ManifestFile, m.Encoding)
			}
			seen[cells[at].Memory] = true
		}
		want, known := memories[point.Source]
		if len(seen) == 0 || known && len(seen) != want {
			return damaged("found %d cells of %v, want %d", len(seen), point, max(want, 1))
		}
		memories[point.Source] = len(seen)
	}
	if at < len(cells) {
		return damaged("the cell %v is not in the grid of %s", cells[at].key(), ManifestFile)
	}
	return nil
}

// key names a cell of a prompt.
func (c *Cell) key() string {
	s := c.Point().String()
	if c.Memory != "" {
		s += fmt.Sprintf(", memory %q", c.Memory)
	}
	return s
}

// hasChecksums reports whether the header of prompts.csv has checksums. A header with another column in their place was changed.
func (m *Manifest) hasChecksums(header []string) (bool, error) {
	if slices.Contains(header, checksumColumn) {
		if header[len(header)-1] != checksumColumn {
			return false, damaged("want %q as the last column, found %q", checksumColumn, header[len(header)-1])
		}
		return true, nil
	}
	if len(header) > len(m.promptColumns()) {
		return false, damaged("want %q as the last column, found %q", checksumColumn, header[len(header)-1])
	}
	return false, nil
}
