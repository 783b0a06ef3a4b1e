package results

import (
	"cmp"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"

	"github.com/onnx-inject/onnx-inject/models"
)

// The columns of cells.csv. Other programs may read them by name; new columns may be appended. p_obscure and p_explicit are
// the probabilities of the prompt, repeated so that a row is complete in itself. model and data are names from the
// manifest.
var cellColumns = []string{
	"model", "data", "prompt", "layer", "tau", "source", "memory", "encoding",
	"p_answer", "logp_answer", "rank", "status", "p_obscure", "p_explicit", "top",
}

// placeColumns follow in evaluations that sweep sites or heads. head is empty where all heads change.
var placeColumns = []string{"site", "head"}

// The columns of prompts.csv. cells is the number of rows of the prompt in cells.csv: the row is written after they are on
// disk.
var promptColumns = []string{
	"prompt", "answer", "answer_id", "tokens", "cells",
	"p_explicit", "logp_explicit", "rank_explicit", "status_explicit", "top_explicit",
	"p_obscure", "logp_obscure", "rank_obscure", "status_obscure", "top_obscure",
	"explicit_sentence", "obscure_sentence", "explicit_entity", "obscure_entity", // checksumColumn follows
}

// toldColumns follow in evaluations that have the memory as text in front of the prompt.
var toldColumns = []string{"p_told", "logp_told", "rank_told", "status_told", "top_told", "told_sentence"}

// pairColumns follow where prompts have several memories: of the second one, explicit_entity_2 and obscure_entity_2.
func pairColumns(more int) []string {
	n := strconv.Itoa(more + 2)
	return []string{"explicit_entity_" + n, "obscure_entity_" + n}
}

// A spreadsheet runs a field that begins with one of these as a formula, and a text of a data file may be anything. Such a text
// has an apostrophe in front in the files, and so has one of apostrophes before such a character, so that every text can be
// told from what was added. Numbers are as they are.
const formula = "=+-@\t\r"

var signed = regexp.MustCompile(`^[+-](\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$`)

// plain takes the apostrophe of quoted away.
func plain(s string) string {
	if rest, ok := strings.CutPrefix(s, "'"); ok && quoted(rest) != rest {
		return rest
	}
	return s
}

// quoted puts an apostrophe in front of what a spreadsheet may run.
func quoted(s string) string {
	if rest := strings.TrimLeft(s, "'"); rest != "" && strings.Contains(formula, rest[:1]) {
		return "'" + s
	}
	return s
}

// datum is quoted for a column of which nothing is known: a number there is as it is, so that programs read a column of numbers as one.
func datum(s string) string {
	if signed.MatchString(s) {
		return s
	}
	return quoted(s)
}

// cellRow formats a cell as text. Numbers have all their digits; a score without a number leaves its fields empty.
func cellRow(m *Manifest, p *Prompt, c *Cell) []string {
	out := []string{
		quoted(m.Model.Name), quoted(m.Data.Name), strconv.Itoa(c.Prompt), strconv.Itoa(c.Layer), number(c.Tau), quoted(c.Source), quoted(c.Memory), quoted(c.Encoding),
		probability(c.Score), logp(c.Score), rank(c.Score), string(c.Status), probability(p.Clean), probability(p.Ceiling), ids(c.Top),
	}
	if m.hasPlaces() {
		out = append(out, string(cmp.Or(c.Site, models.DefaultSite)), c.Head.String())
	}
	return out
}

func promptRow(m *Manifest, p *Prompt, cells int) []string {
	out := []string{
		strconv.Itoa(p.Index), quoted(p.Answer), strconv.FormatInt(p.AnswerID, 10), strconv.Itoa(p.Tokens), strconv.Itoa(cells),
		probability(p.Ceiling), logp(p.Ceiling), rank(p.Ceiling), string(p.Ceiling.Status), ids(p.Ceiling.Top),
		probability(p.Clean), logp(p.Clean), rank(p.Clean), string(p.Clean.Status), ids(p.Clean.Top),
		quoted(p.OneHop), quoted(p.TwoHop), quoted(p.ExplicitEntity), quoted(p.ObscureEntity),
	}
	if m.Told {
		out = append(out, probability(p.Told.Score), logp(p.Told.Score), rank(p.Told.Score), string(p.Told.Status), ids(p.Told.Top), quoted(p.Told.Text))
	}
	for i := range m.more() {
		var pair Pair
		if i < len(p.More) {
			pair = p.More[i]
		}
		out = append(out, quoted(pair.Entity), quoted(pair.Phrase))
	}
	for _, text := range p.Further {
		out = append(out, datum(text))
	}
	return out
}

func number(x float64) string { return strconv.FormatFloat(x, 'g', -1, 64) }

func probability(s Score) string { return where(s, func() string { return number(s.P()) }) }
func logp(s Score) string        { return where(s, func() string { return number(s.LogP) }) }
func rank(s Score) string        { return where(s, func() string { return strconv.Itoa(s.Rank) }) }

func where(s Score, text func() string) string {
	if !s.OK() {
		return ""
	}
	return text()
}

func ids(list []int64) string {
	var b strings.Builder
	for i, id := range list {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(strconv.FormatInt(id, 10))
	}
	return b.String()
}

// row reads fields by name. It keeps the first error in err.
type row struct {
	line    int // 0 for the header
	columns map[string]int
	fields  []string
	raw     []byte // as in the file
	end     int64  // offset in the file
	err     error
}

// columnsOf returns the index of each column of a header and requires all columns of a list.
func columnsOf(header, want []string) (map[string]int, error) {
	columns := map[string]int{}
	for i, c := range header {
		columns[c] = i
	}
	for _, c := range want {
		if _, ok := columns[c]; !ok {
			return nil, fmt.Errorf("want a column %q, found %s", c, strings.Join(header, ", "))
		}
	}
	return columns, nil
}

// text returns a text as it was, without what spreadsheets need.
func (r *row) text(column string) string { return plain(r.fields[r.columns[column]]) }

func (r *row) int(column string) int {
	n, err := strconv.Atoi(r.text(column))
	r.check(column, err)
	return n
}

func (r *row) float(column string) float64 {
	x, err := strconv.ParseFloat(r.text(column), 64)
	r.check(column, err)
	return x
}

func (r *row) check(column string, err error) {
	if err != nil && r.err == nil {
		r.err = fmt.Errorf("column %s: want a number, found %q", column, r.text(column))
	}
}

// score reads a score. Its probability and log-probability must agree.
func (r *row) score(p, logp, rank, status, top string) Score {
	s := Score{LogP: math.NaN(), Rank: -1, Status: Status(r.text(status))}
	switch s.Status {
	case Finite:
		s.LogP, s.Rank = r.float(logp), r.int(rank)
		if r.err == nil && (!(s.LogP <= 1e-6) || math.IsInf(s.LogP, 0) || s.Rank < 0) {
			r.err = damaged("column %s: want a log-probability, and a rank from 0, found %q and %q", logp, r.text(logp), r.text(rank))
		}
	case NaN, Inf, Missing:
	default:
		if r.err == nil {
			r.err = fmt.Errorf("column %s: found %q", status, s.Status)
		}
	}
	for f := range strings.FieldsSeq(r.text(top)) {
		id, err := strconv.ParseInt(f, 10, 64)
		r.check(top, err)
		s.Top = append(s.Top, id)
	}
	r.sameP(p, s)
	return s
}

// sameP requires a column to hold the probability of a score, up to rounding, or nothing.
func (r *row) sameP(column string, s Score) {
	if r.err != nil || !s.OK() && r.text(column) == "" {
		return
	}
	if p := r.float(column); r.err == nil && !(math.Abs(p-s.P()) <= 1e-9*s.P()+1e-300) { // a NaN is not the same
		r.err = damaged("column %s: found %q, but the log-probability gives %v", column, r.text(column), s.P())
	}
}

func (r *row) cell(m *Manifest) Cell {
	c := Cell{
		Prompt: r.int("prompt"), Layer: r.int("layer"), Tau: r.float("tau"), Source: r.text("source"), Memory: r.text("memory"), Encoding: r.text("encoding"),
		Score: r.score("p_answer", "logp_answer", "rank", "status", "top"),
	}
	if !m.hasPlaces() {
		return c
	}
	if site := models.PortKind(r.text("site")); site != models.DefaultSite {
		c.Site = site
	}
	if r.text("head") != "" {
		c.Head = OneHead(r.int("head"))
	}
	return c
}

func (r *row) prompt(m *Manifest) (p Prompt, cells int) {
	p = Prompt{
		Index: r.int("prompt"), Answer: r.text("answer"), AnswerID: int64(r.int("answer_id")), Tokens: r.int("tokens"),
		OneHop: r.text("explicit_sentence"), TwoHop: r.text("obscure_sentence"),
		ExplicitEntity: r.text("explicit_entity"), ObscureEntity: r.text("obscure_entity"),
		Ceiling: r.score("p_explicit", "logp_explicit", "rank_explicit", "status_explicit", "top_explicit"),
		Clean:   r.score("p_obscure", "logp_obscure", "rank_obscure", "status_obscure", "top_obscure"),
	}
	if m.Told {
		p.Told = &Told{r.score("p_told", "logp_told", "rank_told", "status_told", "top_told"), r.text("told_sentence")}
	}
	for i := range m.more() {
		columns := pairColumns(i)
		if pair := (Pair{r.text(columns[0]), r.text(columns[1])}); pair != (Pair{}) {
			p.More = append(p.More, pair)
		}
	}
	for _, name := range m.Columns {
		p.Further = append(p.Further, r.text(quoted(name)))
	}
	return p, r.int("cells")
}
