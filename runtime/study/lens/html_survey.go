package lens

import "github.com/onnx-inject/onnx-inject/runtime/study/webpage"

// surveyData is the outcomes of a survey for the scripts of the page.
type surveyData struct {
	All   int            `json:"all"`   // pairs of the survey
	Pairs []pairData     `json:"pairs"` // all of them, or some that are spread evenly over the data
	Heads []string       `json:"heads"`
	One   webpage.Packed `json:"one"` // [pair][head], log-probability of the entity for the one-hop prompt
	Two   webpage.Packed `json:"two"`
	Ranks []int          `json:"ranks"` // [pair][head][one hop, two hops]
}

type pairData struct {
	Index  int    `json:"i"`
	Prompt string `json:"prompt"` // with two hops
	Entity string `json:"entity"`
}

// mostOutcomes bounds the outcomes in a page: each needs about fifteen bytes.
const mostOutcomes = 100_000

// data gives the outcomes to the scripts.
func (s *Survey) data() *surveyData {
	d := &surveyData{All: len(s.Outcomes), Pairs: []pairData{}, Ranks: []int{}}
	for _, c := range s.Heads {
		d.Heads = append(d.Heads, HeadAt{c.Layer, c.Head}.String())
	}
	var one, two [][]float64
	for _, i := range webpage.Spread(len(s.Outcomes), mostOutcomes/len(s.Heads)) {
		d.Pairs = append(d.Pairs, pairData{i, s.Asked[i].TwoHop, s.Asked[i].Entity})
		var a, b []float64
		for _, o := range s.Outcomes[i] {
			a, b = append(a, o.LogPOneHop), append(b, o.LogPTwoHop)
			d.Ranks = append(d.Ranks, o.RankOneHop, o.RankTwoHop)
		}
		one, two = append(one, a), append(two, b)
	}
	d.One, d.Two = webpage.Pack(one), webpage.Pack(two)
	return d
}
