package published

import (
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/onnx-inject/onnx-inject/graph/base/sidefile"
	"github.com/onnx-inject/onnx-inject/runtime/study/results"
)

// The limits of a file and of one of its rows, which has a column for each layer or word.
const (
	maxFile = 1 << 30
	maxRow  = 16 << 20
)

// sheet is a file that is being read.
type sheet struct {
	path   string
	run    *results.Run
	first  bool // first file of its set: it supplies the prompts
	r      *sidefile.Rows
	header []string
	column map[string]int
	row    []string
	prompt *results.Prompt // of the row
}

// open reads the header, then calls rows, which calls next.
func (s *sheet) open(rows func() error) error {
	f, err := sidefile.Open(s.path, maxFile)
	if err != nil {
		return fmt.Errorf("read published results: %w", err)
	}
	defer f.Close()
	s.r = sidefile.NewRows(f, maxRow)
	header, err := s.r.Read()
	if errors.Is(err, io.EOF) {
		return s.fail("the file is empty")
	}
	if err != nil {
		return s.fail("%w", err)
	}
	s.header = slices.Clone(header)
	s.column = make(map[string]int, len(header))
	for i, name := range s.header {
		if _, twice := s.column[name]; twice {
			return s.fail("column %q appears twice", name)
		}
		s.column[name] = i
	}
	for _, name := range []string{"", "explicit_sentence", "obscure_sentence", "explicit_entity", "obscure_entity", "answer", "answer_prob_obs"} {
		if _, ok := s.column[name]; !ok {
			return s.fail("want a column %q, found %q", name, s.header)
		}
	}
	return rows()
}

// next reads a row and its prompt; it returns false at the end.
func (s *sheet) next(n int) (bool, error) {
	row, err := s.r.Read()
	if errors.Is(err, io.EOF) {
		if !s.first && n < len(s.run.Prompts) {
			return false, s.fail("the file has %d rows; the first file of its set has %d", n, len(s.run.Prompts))
		}
		return false, nil
	}
	if err != nil {
		return false, s.fail("%w", err)
	}
	s.row = row
	index, err := strconv.Atoi(row[s.column[""]])
	if err != nil || index != n {
		return false, s.cellError("", fmt.Sprintf("the row number %d", n))
	}
	p := results.Prompt{
		Index: n, OneHop: s.text("explicit_sentence"), TwoHop: s.text("obscure_sentence"),
		ExplicitEntity: s.text("explicit_entity"), ObscureEntity: s.text("obscure_entity"),
		// The scripts put a space before the answers of the data file, as AnswerSpace in the manifest records.
		Answer: strings.TrimPrefix(s.text("answer"), " "), AnswerID: -1, Ceiling: results.None(),
	}
	if p.Clean, err = s.score("answer_prob_obs", ""); err != nil {
		return false, err
	}
	if _, ok := s.column["answer_prob_exp"]; ok {
		if p.Ceiling, err = s.score("answer_prob_exp", ""); err != nil {
			return false, err
		}
	}
	if s.first {
		s.run.Prompts = append(s.run.Prompts, p)
	} else if err := s.same(n, &p); err != nil {
		return false, err
	}
	s.prompt = &s.run.Prompts[n]
	return true, nil
}

// same refuses a row whose prompt differs from that in the first file. Clean probabilities may differ as much as those of
// two computers.
func (s *sheet) same(n int, p *results.Prompt) error {
	if n >= len(s.run.Prompts) {
		return s.fail("the file has more rows than the first file of its set: %d", n)
	}
	q := &s.run.Prompts[n]
	if p.TwoHop != q.TwoHop || p.Answer != q.Answer {
		return s.fail("row %d: prompt %q, answer %q; in the first file of its set: prompt %q, answer %q", n, p.TwoHop, p.Answer, q.TwoHop, q.Answer)
	}
	if math.Abs(p.Clean.LogP-q.Clean.LogP) > 1e-3 {
		return s.fail("row %d, column %q: %g; in the first file of its set: %g", n, "answer_prob_obs", p.Clean.P(), q.Clean.P())
	}
	return nil
}

// score reads a probability and, when its column exists, the list of the most likely tokens. pandas writes a NaN as an empty
// field.
func (s *sheet) score(prob, top string) (results.Score, error) {
	out := results.Score{Rank: -1}
	text := s.row[s.column[prob]]
	p, err := strconv.ParseFloat(text, 64)
	switch {
	case text == "" || err == nil && math.IsNaN(p):
		out.LogP, out.Status = math.NaN(), results.NaN
	case err != nil || p < 0 || p > 1+1e-6:
		return out, s.cellError(prob, "a probability")
	default:
		out.LogP = math.Log(min(p, 1))
	}
	if i, ok := s.column[top]; ok && top != "" {
		if out.Top, ok = tokens(s.row[i]); !ok {
			return out, s.cellError(top, "a list of token ids")
		}
	}
	return out, nil
}

// tokens parses a list in Python's format: [1, 2, 3].
func tokens(text string) ([]int64, bool) {
	inner, open := strings.CutPrefix(text, "[")
	inner, closed := strings.CutSuffix(inner, "]")
	if !open || !closed {
		return nil, false
	}
	if inner == "" {
		return nil, true
	}
	out := make([]int64, 0, strings.Count(inner, ",")+1)
	for field := range strings.SplitSeq(inner, ",") {
		id, err := strconv.ParseInt(strings.TrimSpace(field), 10, 64)
		if err != nil || id < 0 {
			return nil, false
		}
		out = append(out, id)
	}
	return out, true
}

// text copies a field, so that it outlives the row.
func (s *sheet) text(column string) string { return strings.Clone(s.row[s.column[column]]) }

// cellError names file, line and column of an invalid field, and the expected content.
func (s *sheet) cellError(column, want string) error {
	i := s.column[column]
	line := s.r.Line(i)
	return s.fail("line %d, column %q: want %s, found %q", line, column, want, s.row[i])
}

func (s *sheet) fail(format string, args ...any) error {
	return fmt.Errorf("read published results %q: %w", s.path, fmt.Errorf(format, args...))
}
