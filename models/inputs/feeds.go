package inputs

import (
	"errors"
	"fmt"
	"maps"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/graph/base/hint"
)

// Feeds builds all inputs for a batch of prompts of equal length: the whole text at once, no cache, and every intervention
// off. The caller may replace entries of the result.
func (in *Signature) Feeds(ids [][]int64) (map[string]*graph.Tensor, error) {
	out, err := in.Step(ids, 0)
	if err != nil {
		return nil, err
	}
	cache, err := in.EmptyCache(len(ids))
	if err != nil {
		return nil, err
	}
	maps.Copy(out, cache)
	return out, nil
}

// Step builds the inputs for tokens that follow a number of earlier ones, whose keys and values are in the cache: all inputs
// except the cache, with every intervention off. The caller may replace entries of the result.
func (in *Signature) Step(ids [][]int64, earlier int) (map[string]*graph.Tensor, error) {
	out, err := in.step(ids, int64(earlier))
	if err != nil {
		return nil, fmt.Errorf("feed the model: %w", err)
	}
	return out, nil
}

// span is the extent of a step: rows, earlier positions, and positions of its own.
type span struct{ batch, earlier, length int64 }

func (s span) total() int64 { return s.earlier + s.length }

func (in *Signature) step(ids [][]int64, earlier int64) (map[string]*graph.Tensor, error) {
	if err := in.check(ids, earlier); err != nil {
		return nil, err
	}
	at := span{int64(len(ids)), earlier, int64(len(ids[0]))}
	out := map[string]*graph.Tensor{}
	for _, r := range in.Roles {
		if r.Role == RolePast {
			continue
		}
		t, err := in.feed(r, ids, at)
		if err != nil {
			return nil, fmt.Errorf("%s input %q %v: %w", r.Role, r.Name, r.Type, err)
		}
		out[r.Name] = t
	}
	return out, nil
}

const otherFile = "use another file of the model's folder: model.onnx, decoder_model_merged.onnx or decoder_model.onnx"

// check compares the prompts with the limits of the model.
func (in *Signature) check(ids [][]int64, earlier int64) error {
	if len(ids) == 0 || len(ids[0]) == 0 {
		return errors.New("no tokens")
	}
	length := int64(len(ids[0]))
	for i, row := range ids {
		if int64(len(row)) != length {
			return fmt.Errorf("row %d has %d tokens, row 0 has %d: the rows of a batch must have equal length", i, len(row), length)
		}
		for _, id := range row {
			if vocab := in.layout.Embed.In; id < 0 || id >= vocab {
				return fmt.Errorf("token %d: the vocabulary is 0 to %d; is this the model's own tokenizer?", id, vocab-1)
			}
		}
	}
	switch {
	case in.Length == 1 && length > 1:
		return hint.With(fmt.Errorf("the file takes one token at a time, the text has %d", length), otherFile)
	case in.Length > 0 && length != in.Length:
		return hint.With(fmt.Errorf("the file takes exactly %d tokens, the text has %d", in.Length, length), "export the model with a dynamic length")
	case in.layout.NCtx > 0 && earlier+length > int64(in.layout.NCtx):
		return fmt.Errorf("the text has %d tokens, the model takes at most %d", earlier+length, in.layout.NCtx)
	case in.Batch > 0 && int64(len(ids)) != in.Batch:
		return hint.With(fmt.Errorf("the file takes exactly %d rows, the batch has %d", in.Batch, len(ids)), "export the model with a dynamic batch")
	}
	return nil
}

func (in *Signature) feed(r Input, ids [][]int64, at span) (*graph.Tensor, error) {
	switch r.Role {
	case RoleTokens:
		var flat []int64
		for _, row := range ids {
			flat = append(flat, row...)
		}
		return r.rows(flat, at.batch, at.length)
	case RoleMask:
		return r.rows(sequence(at.batch*at.total(), func(int64) int64 { return 1 }), at.batch, at.total())
	case RolePositions:
		batch := at.batch
		if d := rowDims(r.Type); len(d) == 2 && d[0].Size == 1 {
			batch = 1 // one row for all
		}
		return r.rows(sequence(batch*at.length, func(i int64) int64 { return at.earlier + i%at.length }), batch, at.length)
	case RoleCacheBranch:
		x := int64(0)
		if r.noCache == (at.earlier == 0) {
			x = 1
		}
		return r.one(x)
	case RoleKeys:
		return r.one(at.total())
	case RoleEarlier:
		return r.one(at.earlier)
	case RoleKeep:
		return r.one(0)
	case RoleLastKeys:
		return r.lastKeys(at.batch, at.total())
	case RolePort:
		return r.port.Off(in.layout), nil
	case RoleUnused:
		return r.unused(at.batch, at.length)
	}
	if r.why != "" {
		return nil, errors.New(r.why)
	}
	return nil, errors.New("its purpose is unknown, so no value can be fed")
}

func sequence(n int64, f func(int64) int64) []int64 {
	out := make([]int64, n)
	for i := range out {
		out[i] = f(int64(i))
	}
	return out
}

// rows makes a tensor of [batch, pos] numbers in the declared rank: [pos], [batch, pos] or [batch, 1, pos].
func (r *Input) rows(x []int64, batch, length int64) (*graph.Tensor, error) {
	dims := []int64{batch, length}
	switch n := len(rowDims(r.Type)); {
	case n == 1 && batch == 1:
		dims = dims[1:]
	case n == 1 && r.Role == RolePositions:
		x, dims = x[:length], dims[1:]
	case n == 2:
	case n == 3:
		dims = []int64{batch, 1, length}
	default:
		return nil, fmt.Errorf("cannot hold %d rows of %d", batch, length)
	}
	return wholeNumbers(r.Type.DType, x, dims...)
}

// one makes a tensor with one number in the declared rank.
func (r *Input) one(x int64) (*graph.Tensor, error) {
	return wholeNumbers(r.Type.DType, []int64{x}, sequence(int64(len(r.Type.Dims)), func(int64) int64 { return 1 })...)
}

// lastKeys makes the index of the last position of each row, [batch] or [batch, 1].
func (r *Input) lastKeys(batch, length int64) (*graph.Tensor, error) {
	dims := []int64{batch, 1}
	if len(r.Type.Dims) < 2 {
		dims = dims[:1]
	}
	return wholeNumbers(r.Type.DType, sequence(batch, func(int64) int64 { return length - 1 }), dims...)
}

// unused makes zeros of the declared sizes. The first free axis has the size of the batch, the others the length of the
// text.
func (r *Input) unused(batch, length int64) (*graph.Tensor, error) {
	if r.Type.DType.Bits() < 8 {
		return nil, fmt.Errorf("cannot make zeros of type %v", r.Type.DType)
	}
	var dims []int64
	for i, d := range rowDims(r.Type) {
		switch {
		case d.Size >= 0:
			dims = append(dims, d.Size)
		case i == 0:
			dims = append(dims, batch)
		default:
			dims = append(dims, length)
		}
	}
	return graph.Zeros(r.Type.DType, dims...), nil
}

// wholeNumbers makes a tensor of integers in the element type that an input declares.
func wholeNumbers(d graph.DType, x []int64, dims ...int64) (*graph.Tensor, error) {
	switch d {
	case graph.Int64:
		return graph.NewInt64(x, dims...), nil
	case graph.Int32:
		y := make([]int32, len(x))
		for i, v := range x {
			y[i] = int32(v)
		}
		return graph.NewInt32(y, dims...), nil
	case graph.Float32:
		y := make([]float32, len(x))
		for i, v := range x {
			y[i] = float32(v)
		}
		return graph.NewFloat32(y, dims...), nil
	case graph.Bool, graph.Int8, graph.Uint8:
		t := graph.Zeros(d, dims...)
		for i, v := range x {
			t.Data[i] = byte(v)
		}
		return t, nil
	}
	return nil, fmt.Errorf("cannot store whole numbers as %v", d)
}
