package results

import (
	"bytes"
	"cmp"
	"fmt"
	"math"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"

	"github.com/onnx-inject/onnx-inject/models"
)

// SideTexts are the texts of which an evaluation measures how much its changes do to them although they should not.
type SideTexts struct {
	File      File   `json:"file"`
	Texts     int    `json:"texts"`     // over all shards; 0 when side effects are not measured
	Positions string `json:"positions"` // of the changes in a text: those of the manifest, or [Middle]
}

// Middle is the position of a change that a text has no other place for: the last token of the first half of the text.
const Middle = "middle"

// SideEffect is what one cell does to one text. The cell has the memory of a prompt.
type SideEffect struct {
	Cell              // without a score
	Text      int     // from 0, in the order of the file
	From      int     // the first position that changes
	Positions int     // from there to the end of the text
	KL        float64 // mean of KL(clean || changed) over these positions, nats; NaN when Status is set
	CleanNLL  float64 // mean of -ln p of the tokens after From, without the change
	NLL       float64 // with it
}

// Predicted is the number of tokens that the two NLLs are about: those after From.
func (s *SideEffect) Predicted() int { return s.Positions - 1 }

// The columns of side_effects.csv. The last row of a text has the SHA-256 of the text's rows, byte by byte up to the comma before it:
// it is the commit of the text.
var sideColumns = []string{
	"model", "text", "prompt", "source", "memory", "site", "layer", "head", "tau", "from", "positions",
	"kl", "nll_clean", "nll", "perplexity_clean", "perplexity", "status", checksumColumn,
}

func sideRow(m *Manifest, s *SideEffect) []string {
	value := func(x float64) string { return where(s.Score, func() string { return number(x) }) }
	return []string{
		quoted(m.Model.Name), strconv.Itoa(s.Text), strconv.Itoa(s.Prompt), quoted(s.Source), quoted(s.Memory),
		string(cmp.Or(s.Site, models.DefaultSite)), strconv.Itoa(s.Layer), s.Head.String(), number(s.Tau), strconv.Itoa(s.From), strconv.Itoa(s.Positions),
		value(s.KL), value(s.CleanNLL), value(s.NLL), value(math.Exp(s.CleanNLL)), value(math.Exp(s.NLL)), string(s.Status), "",
	}
}

func (r *row) sideEffect(m *Manifest) SideEffect {
	s := SideEffect{
		Cell: Cell{Prompt: r.int("prompt"), Layer: r.int("layer"), Tau: r.float("tau"), Source: r.text("source"), Memory: r.text("memory"),
			Score: Score{Status: Status(r.text("status"))}},
		Text: r.int("text"), From: r.int("from"), Positions: r.int("positions"), KL: math.NaN(), CleanNLL: math.NaN(), NLL: math.NaN(),
	}
	if site := models.PortKind(r.text("site")); site != models.DefaultSite {
		s.Site = site
	}
	if r.text("head") != "" {
		s.Head = OneHead(r.int("head"))
	}
	switch s.Status {
	case Finite:
		s.KL, s.CleanNLL, s.NLL = r.float("kl"), r.float("nll_clean"), r.float("nll")
	case NaN, Inf:
	default:
		r.err = cmp.Or(r.err, fmt.Errorf("column status: found %q", s.Status))
	}
	if r.err == nil && (s.Positions < 2 || s.From < 0 || s.OK() && !(s.KL >= 0 && s.CleanNLL >= 0 && s.NLL >= 0)) {
		r.err = damaged("want two positions or more and numbers from 0, found %d positions from %d, kl %v, nll %v and %v", s.Positions, s.From, s.KL, s.CleanNLL, s.NLL)
	}
	return s
}

// ownsText reports whether a text belongs to the evaluation: texts are divided among shards as prompts are.
func (m *Manifest) ownsText(text int) bool {
	return text >= 0 && text < m.SideEffects.Texts && (m.Shard.Of < 2 || text%m.Shard.Of == m.Shard.Index)
}

// readSide reads the side effects of the committed texts.
func (l *loader) readSide() (err error) {
	m := l.run.Manifest
	if m.SideEffects.Texts == 0 {
		return nil
	}
	var group []SideEffect // of the text that is being read
	var raw bytes.Buffer
	seen := map[int]bool{}
	var end int64
	_, err = scan(l.ctx, filepath.Join(l.dir, SideEffectsFile), sideColumns, func(x *row) error {
		if x.line == 0 {
			end = x.end
			return nil
		}
		s := x.sideEffect(m)
		switch {
		case x.err != nil:
			return x.err
		case len(group) > 0 && group[0].Text != s.Text:
			return damaged("got a row of text %d, want one of text %d", s.Text, group[0].Text)
		case seen[s.Text]:
			return damaged("text %d appears twice", s.Text)
		case !m.ownsText(s.Text):
			return damaged("text %d is not in the evaluation that %s describes", s.Text, ManifestFile)
		case x.text("model") != m.Model.Name:
			return damaged("got a row of %q, want one of %q", x.text("model"), m.Model.Name)
		}
		group = append(group, s)
		sum := x.text(checksumColumn)
		if sum == "" {
			raw.Write(x.raw)
			return nil
		}
		raw.Write(beforeLast(x.raw))
		if sum != hexSum(digest(raw.Bytes())) {
			return damaged("text %d: the checksum does not fit: its rows were changed after they were written", s.Text)
		}
		cells := make([]Cell, len(group))
		for i := range group {
			cells[i] = group[i].Cell
		}
		if err := m.checkGrid(cells); err != nil {
			return fmt.Errorf("text %d: %w", s.Text, err)
		}
		l.run.SideEffects, end = append(l.run.SideEffects, group...), x.end
		seen[s.Text], group = true, nil
		raw.Reset()
		return nil
	})
	l.side = end
	return err
}

// DoneText reports whether the side effects on a text are in the folder.
func (w *Writer) DoneText(text int) bool { return w.texts[text] }

// AppendText adds the side effects of all cells on one text. When it returns nil, they are on disk.
func (w *Writer) AppendText(effects []SideEffect) error {
	var rows [][]string
	for i := range effects {
		rows = append(rows, sideRow(w.Manifest, &effects[i]))
	}
	body := bytes.TrimSuffix(csvOf(rows...), []byte("\n"))
	body = append(append(body, hexSum(digest(body))...), '\n')
	if err := appendBytes(w.side, body); err != nil {
		return err
	}
	w.texts[effects[0].Text] = true
	return nil
}

// addSide joins the side effects of another shard.
func (r *Run) addSide(other *Run) error {
	have := map[int][]SideEffect{}
	for _, s := range r.SideEffects {
		have[s.Text] = append(have[s.Text], s)
	}
	theirs := map[int][]SideEffect{}
	for _, s := range other.SideEffects {
		if theirs[s.Text] = append(theirs[s.Text], s); have[s.Text] == nil {
			r.SideEffects = append(r.SideEffects, s)
		}
	}
	for text, list := range theirs {
		if have[text] != nil && !slices.EqualFunc(have[text], list, sameSide) {
			return fmt.Errorf("text %d is in both, with different side effects", text)
		}
	}
	slices.SortStableFunc(r.SideEffects, func(a, b SideEffect) int { return cmp.Compare(a.Text, b.Text) })
	return nil
}

// sameSide compares side effects as files store them, where one without numbers has no values.
func sameSide(a, b SideEffect) bool {
	if !a.OK() {
		a.KL, a.CleanNLL, a.NLL = 0, 0, 0
	}
	if !b.OK() {
		b.KL, b.CleanNLL, b.NLL = 0, 0, 0
	}
	return reflect.DeepEqual(a, b)
}
