package probe

import (
	"encoding/csv"
	"io"
	"strconv"
)

// WriteCSV writes a line for each prompt. A score has the columns rank and logp; those of hop 1 are empty where it was not asked.
func (r *Report) WriteCSV(w io.Writer) error {
	out := csv.NewWriter(w)
	out.Write([]string{"index", "class", "rank_two_hops", "logp_two_hops", "rank_hop2", "logp_hop2", "gap", "rank_hop1", "logp_hop1",
		"prompt", "one_hop", "answer", "entity", "hop1_prompt"}) // errors stay in the writer
	for _, x := range r.Rows {
		line := []string{strconv.Itoa(x.Index), string(x.Class)}
		line = append(line, fields(&x.Two)...)
		line = append(line, fields(&x.One)...)
		line = append(line, digits(x.Gap))
		line = append(line, fields(x.First)...)
		out.Write(append(line, x.Prompt, x.OneHop, x.Answer, x.Entity, x.Hop1))
	}
	out.Flush()
	return out.Error()
}

func fields(s *Score) []string {
	if s == nil {
		return []string{"", ""}
	}
	return []string{strconv.Itoa(s.Rank), digits(s.LogP)}
}

// digits writes all digits of a number.
func digits(x float64) string { return strconv.FormatFloat(x, 'g', -1, 64) }
