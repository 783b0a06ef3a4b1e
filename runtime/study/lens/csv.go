package lens

import (
	"encoding/csv"
	"io"
	"strconv"
)

// WriteCSV writes a line for each of the top tokens of each head, and one for each token of the entity that is not among them:
//
//	prompt     0, or 1 for the prompt that it is held against
//	layer, head
//	rank       0 is the head's likeliest token
//	id, token
//	logit, logp
//	entity     "space" or "bare" where the token is the entity's with or without a space in front
func (r *Report) WriteCSV(w io.Writer) error {
	out := csv.NewWriter(w)
	out.Write([]string{"prompt", "layer", "head", "rank", "id", "token", "logit", "logp", "entity"}) // errors stay in the writer
	for p, v := range r.Views {
		for _, h := range v.Heads {
			line := func(rank int, t Token) {
				out.Write([]string{strconv.Itoa(p), strconv.Itoa(h.Layer), strconv.Itoa(h.Head), strconv.Itoa(rank),
					strconv.FormatInt(t.ID, 10), t.Token, digits(t.Logit), digits(t.LogP), r.Entity.form(t.ID)})
			}
			shown := map[int64]bool{}
			for i, t := range h.Top {
				line(i, t)
				shown[t.ID] = true
			}
			if h.Entity == nil {
				continue
			}
			for _, m := range h.Entity.Tokens {
				if !shown[m.ID] {
					line(m.Rank, m.Token)
				}
			}
		}
	}
	out.Flush()
	return out.Error()
}

// form says how the entity has a token.
func (e *Entity) form(id int64) string {
	if e != nil {
		for _, t := range e.Tokens {
			switch {
			case t.ID != id:
			case t.Space:
				return "space"
			default:
				return "bare"
			}
		}
	}
	return ""
}

// WriteCSV writes a line for each head; the columns are the fields of [Count].
func (s *Survey) WriteCSV(w io.Writer) error {
	out := csv.NewWriter(w)
	out.Write([]string{"layer", "head", "one_hop", "two_hop", "difference", "only_one", "only_two", "logp"})
	for _, c := range s.Heads {
		var line []string
		for _, n := range []int{c.Layer, c.Head, c.OneHop, c.TwoHop, c.Difference, c.OnlyOneHop, c.OnlyTwoHop} {
			line = append(line, strconv.Itoa(n))
		}
		out.Write(append(line, digits(c.LogP)))
	}
	out.Flush()
	return out.Error()
}

// digits writes all digits of a number.
func digits(x float64) string { return strconv.FormatFloat(x, 'g', -1, 64) }
