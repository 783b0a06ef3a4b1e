package capture

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/onnx-inject/onnx-inject/graph"
)

// DTypes are the element types of files. The first is the default.
var DTypes = []string{graph.Float32.String(), graph.Float16.String()}

// shape is what all files of a capture have in common.
type shape struct {
	hooks []HookFacts
	half  bool // float16
}

// width returns the size of a row of a hook in bytes.
func (s *shape) width(hook int) int64 { return size(s.hooks[hook].Shape) * s.element() }

func (s *shape) element() int64 {
	if s.half {
		return 2
	}
	return 4
}

// rowBytes returns the size of a row of all hooks, in a file and in memory as float32.
func (s *shape) rowBytes() (stored, wide int64) {
	for h := range s.hooks {
		stored += s.width(h)
		wide += size(s.hooks[h].Shape) * 4
	}
	return stored, wide
}

// status is why a row has numbers that are not finite. A larger one has priority.
type status byte

const (
	finite   status = iota
	overflow        // a value is beyond the range of float16
	infinite        // the model computed infinity
	nan             // the model computed no number
)

var statusNames = []string{"", "overflow", "inf", "nan"}

// encode appends values in the element type of the file.
func (s *shape) encode(out []byte, x []float32) []byte {
	if s.half {
		return appendHalf(out, x)
	}
	for _, v := range x {
		out = binary.LittleEndian.AppendUint32(out, math.Float32bits(v))
	}
	return out
}

// look returns the status of values.
func (s *shape) look(x []float32) status {
	worst := finite
	for _, v := range x {
		switch abs := math.Abs(float64(v)); {
		case v != v:
			return nan
		case abs > math.MaxFloat32:
			worst = max(worst, infinite)
		case s.half && abs >= maxHalf+16: // rounds to infinity
			worst = max(worst, overflow)
		}
	}
	return worst
}

// The metadata of a file.
const (
	metaFormat = "onnx_inject.format" // "capture"
	metaFirst  = "onnx_inject.first"  // the number of rows in earlier files
	metaStatus = "onnx_inject.status" // rows whose values are not all finite: "3:nan 17:overflow"
	metaSum    = "onnx_inject.sha256" // of the header with this text empty, followed by the values
)

// header returns the beginning of a file, up to the values: see the format section of huggingface/safetensors' README.
func (s *shape) header(rows, first int, statuses, sum string) ([]byte, error) {
	type tensor struct {
		DType   string   `json:"dtype"`
		Shape   []int64  `json:"shape"`
		Offsets [2]int64 `json:"data_offsets"`
	}
	dtype := "F32"
	if s.half {
		dtype = "F16"
	}
	fields := map[string]any{"__metadata__": map[string]string{
		metaFormat: manifestFormat, metaFirst: strconv.Itoa(first), metaStatus: statuses, metaSum: sum,
	}}
	at := int64(0)
	for h, hook := range s.hooks {
		end := at + int64(rows)*s.width(h)
		fields[hook.Name] = tensor{dtype, append([]int64{int64(rows)}, hook.Shape...), [2]int64{at, end}}
		at = end
	}
	text, err := json.Marshal(fields) // keys are sorted, so the same values give the same bytes
	if err != nil {
		return nil, err
	}
	for len(text)%8 != 0 { // this aligns the values
		text = append(text, ' ')
	}
	return append(binary.LittleEndian.AppendUint64(nil, uint64(len(text))), text...), nil
}

// dataBytes returns the size of the values of a file.
func (s *shape) dataBytes(rows int) int64 {
	stored, _ := s.rowBytes()
	return int64(rows) * stored
}

// statusText writes the statuses of rows.
func statusText(rows []status) string {
	var parts []string
	for i, s := range rows {
		if s != finite {
			parts = append(parts, fmt.Sprintf("%d:%s", i, statusNames[s]))
		}
	}
	return strings.Join(parts, " ")
}

// parseStatus is the inverse of statusText.
func parseStatus(text string) (map[int]string, error) {
	out := map[int]string{}
	for part := range strings.FieldsSeq(text) {
		row, name, _ := strings.Cut(part, ":")
		i, err := strconv.Atoi(row)
		if err != nil {
			return nil, fmt.Errorf("status %q: want ROW:STATUS", part)
		}
		out[i] = name
	}
	return out, nil
}

// recordBytes returns the size of the record of a batch.
func (s *shape) recordBytes(p *plan, f *file, batch []int) int64 {
	rows := p.rowsOf(f, batch)
	return recordHead + int64(rows) + s.dataBytes(rows) + sha256.Size
}

// rowsOf returns the number of rows of a batch.
func (p *plan) rowsOf(f *file, batch []int) int {
	n := 0
	for _, i := range batch {
		n += p.prompts[f.prompts[i]].rows()
	}
	return n
}

// values gives the values of a hook for prompt i of a batch, as they are stored, and the statuses of the rows.
type values func(hook, i int) ([]byte, []status, error)

// record makes the record of a batch, without its checksum.
func (s *shape) record(p *plan, f *file, number, at int, get values) ([]byte, error) {
	batch := f.batches[at]
	out := make([]byte, 0, s.recordBytes(p, f, batch))
	out = append(out, recordHeader(number, at)...)
	statuses := len(out)
	out = append(out, make([]byte, p.rowsOf(f, batch))...)
	for h := range s.hooks {
		row := statuses
		for i := range batch {
			data, marks, err := get(h, i)
			if err != nil {
				return nil, err
			}
			for _, m := range marks {
				out[row] = max(out[row], byte(m))
				row++
			}
			out = append(out, data...)
		}
	}
	return out, nil
}

// ran gives the values of the hooks [batch, pos, row…] that a run of the prompts computed.
func (s *shape) ran(prompts []*prompt, computed [][]float32) values {
	return func(hook, i int) ([]byte, []status, error) {
		q, width := prompts[i], int(size(s.hooks[hook].Shape))
		part := computed[hook][(i*len(q.ids)+q.from)*width : (i+1)*len(q.ids)*width]
		marks := make([]status, 0, q.rows())
		for r := 0; r < len(part); r += width {
			marks = append(marks, s.look(part[r:r+width]))
		}
		return s.encode(make([]byte, 0, int64(q.rows())*s.width(hook)), part), marks, nil
	}
}
