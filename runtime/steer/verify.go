package steer

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/graph/base/hint"
	"github.com/onnx-inject/onnx-inject/graph/ops"
	"github.com/onnx-inject/onnx-inject/models"
	"github.com/onnx-inject/onnx-inject/rewrite"
	"github.com/onnx-inject/onnx-inject/runtime"
	"github.com/onnx-inject/onnx-inject/runtime/decoder"
)

// Report is what [Verify] found.
type Report struct {
	Patched  string  `json:"patched"`
	Original string  `json:"original"`
	Device   string  `json:"device"`
	Tokens   []int64 `json:"tokens"` // the prompt that was run
	Checks   []Check `json:"checks"`
	OK       bool    `json:"ok"`
}

// Check is one law with the number measured and the bound it must keep.
type Check struct {
	Name  string  `json:"name"`
	Layer int     `json:"layer"` // -1: the whole model
	Got   float64 `json:"got"`   // null where it is not finite
	Want  string  `json:"want"`  // the bound, in words
	OK    bool    `json:"ok"`
	Note  string  `json:"note,omitempty"`
}

// MarshalJSON writes null for a number that is not finite, which JSON does not have: it is what a check finds that fails worst.
func (c Check) MarshalJSON() ([]byte, error) {
	type plain Check // without this method
	out := struct {
		plain
		Got *float64 `json:"got"`
	}{plain: plain(c)}
	if !math.IsNaN(c.Got) && !math.IsInf(c.Got, 0) {
		out.Got = &c.Got
	}
	return json.Marshal(out)
}

// effectBound is what a memory must change at least, in the numbers of the outputs.
const effectBound = 1e-6

// verifyTokens is how long the prompt is.
const verifyTokens = 7

// Verify runs a patched model and its original without the host's own optimisations and checks what must hold. The two files
// are run as they are on disk: with tau = 0 the patched one gives the original's outputs, and a memory has an effect at every
// layer that has ports. Then the patched model, with the ports that it lacks, is compared with the laws. original is a file or a
// folder, or "": then the manifest names it, in the patched file's folder.
//
// The weights are compared with the original's, or with what the manifest says of files that the patched one refers to: a sample
// of every tensor, or with full every byte, the checksums of external data among them.
func Verify(ctx context.Context, host runtime.Host, patched *decoder.Model, original string, full bool, o runtime.Options) (*Report, error) {
	o.Level = runtime.Unmodified
	man, path := patched.Manifest, patched.Folder.Model
	if man == nil {
		return nil, hint.With(fmt.Errorf("%s: not a patched model: it holds no manifest", path), "onnx-inject rewrite makes one")
	}
	if original == "" {
		var err error
		if original, err = sourceOf(path, man); err != nil {
			return nil, err
		}
	}
	g, err := decoder.Open(original)
	if err != nil {
		return nil, err
	}
	defer g.Close()
	v := &verifier{ctx: ctx, host: host, options: o, original: g, report: &Report{Patched: path, Original: g.Folder.Model, Device: o.Device.String(), OK: true}}
	if err := v.recognise(patched); err != nil {
		return nil, err
	}
	weights, err := v.checkWeights(full)
	if err != nil {
		return nil, err
	}
	want, err := v.runOriginal()
	if err != nil {
		return nil, err
	}
	files, err := v.checkFile(want)
	if err != nil {
		return nil, err
	}
	kept, err := v.checkLaws()
	if err != nil {
		return nil, err
	}
	v.report.Checks = slices.Concat(files[:1], kept, files[1:], []Check{weights})
	for _, c := range v.report.Checks {
		v.report.OK = v.report.OK && c.OK
	}
	return v.report, nil
}

type verifier struct {
	ctx               context.Context
	host              runtime.Host
	options           runtime.Options
	original, patched *decoder.Model
	layout            *models.Layout // of the patched file
	report            *Report
	phrased           []phrased // of what the patched file stores at phrases
}

// phrased is a prompt that ends with a phrase at which the patched file stores an intervention.
type phrased struct {
	tokens []int64
	layer  int
	phrase string
	want   map[string]*graph.Tensor // the outputs of the original
}

// recognise finds the decoder in both files, and chooses the prompt. What the configuration of the original says holds for its
// copy as well, which may be in another folder.
func (v *verifier) recognise(patched *decoder.Model) error {
	plain, err := v.original.Locate(v.ctx)
	if err != nil {
		return err
	}
	v.patched = patched.With(&models.Config{Heads: plain.Heads, KVHeads: plain.KVHeads, Vocab: v.original.Config.Vocab})
	if v.layout, err = v.patched.Locate(v.ctx); err != nil {
		return err
	}
	if got, want := sizes(v.layout), sizes(plain); got != want {
		return hint.With(fmt.Errorf("%s: not a copy of %s: it has %s, the original %s", v.report.Patched, v.report.Original, got, want),
			"name the original with --against")
	}
	n := verifyTokens
	if in := plain.Tokens(); in != nil && len(in.Type().Dims) == 2 && in.Type().Dims[1].Size > 0 {
		n = int(in.Type().Dims[1].Size)
	}
	vocab := plain.Vocab
	if vocab == 0 {
		vocab = int(plain.Embed.In)
	}
	r := rand.New(rand.NewPCG(1, 2)) // the same prompt every time
	for range n {
		v.report.Tokens = append(v.report.Tokens, r.Int64N(int64(vocab)))
	}
	for _, b := range patched.Manifest.Baked {
		if len(b.Tokens) == 0 {
			continue
		}
		before := n
		if in := plain.Tokens(); len(in.Type().Dims) == 2 && in.Type().Dims[1].Size > 0 {
			before = max(0, n-len(b.Tokens[0]))
		}
		v.phrased = append(v.phrased, phrased{tokens: slices.Concat(v.report.Tokens[:before], b.Tokens[0]), layer: b.Layer, phrase: b.Phrase})
	}
	return nil
}

// run feeds the prompt, and what change puts in the place of what changes nothing.
func (v *verifier) run(s *decoder.Session, change map[string]*graph.Tensor) (map[string]*graph.Tensor, error) {
	return v.runTokens(s, v.report.Tokens, change)
}

// runTokens is run with another prompt.
func (v *verifier) runTokens(s *decoder.Session, tokens []int64, change map[string]*graph.Tensor) (map[string]*graph.Tensor, error) {
	batch := [][]int64{tokens}
	for len(batch) < int(s.Signature.Batch) {
		batch = append(batch, tokens)
	}
	feeds, err := s.Signature.Feeds(batch)
	if err != nil {
		return nil, err
	}
	maps.Copy(feeds, change)
	return s.Run(v.ctx, feeds)
}

// runOriginal gives the outputs of the original. Sessions follow each other: each holds all weights.
func (v *verifier) runOriginal() (map[string]*graph.Tensor, error) {
	s, err := v.original.Unchanged(v.ctx, v.host, v.options)
	if err != nil && v.ctx.Err() == nil {
		// ONNX Runtime 1.30 does not open some files in float16 as they are: it adds conversions that it then cannot place.
		v.options.Level = runtime.Basic
		s, err = v.original.Unchanged(v.ctx, v.host, v.options)
	}
	if err != nil {
		return nil, fmt.Errorf("the original as it is on disk: %w", err)
	}
	defer s.Close()
	out, err := v.run(s, nil)
	if err != nil {
		return nil, fmt.Errorf("run the original: %w", err)
	}
	for i, p := range v.phrased {
		if v.phrased[i].want, err = v.runTokens(s, p.tokens, nil); err != nil {
			return nil, fmt.Errorf("run the original with the phrase %q: %w", p.phrase, err)
		}
	}
	return out, nil
}

// checkFile holds the patched file, as it is on disk, to the outputs of the original, and looks for the effect of memories and factors.
func (v *verifier) checkFile(want map[string]*graph.Tensor) ([]Check, error) {
	s, err := v.patched.Unchanged(v.ctx, v.host, v.options)
	if err != nil {
		return nil, fmt.Errorf("the patched model as it is on disk: %w", err)
	}
	defer s.Close()
	got, err := v.run(s, nil)
	if err != nil {
		return nil, fmt.Errorf("run the patched model: %w", err)
	}
	c, err := v.tauZero(got, want)
	if err != nil {
		return nil, err
	}
	checks := []Check{c}
	for _, p := range v.phrased {
		got, err := v.runTokens(s, p.tokens, nil)
		if err != nil {
			return nil, fmt.Errorf("run the patched model with the phrase %q: %w", p.phrase, err)
		}
		change, err := largestChange(got, p.want)
		if err != nil {
			return nil, err
		}
		checks = append(checks, effect("what is stored at a phrase has an effect", p.layer, change))
	}
	effects, err := v.effects(s, got, want)
	return append(checks, effects...), err
}

// tauZero compares every output that both models have, bit for bit.
func (v *verifier) tauZero(got, want map[string]*graph.Tensor) (Check, error) {
	worst, same, compared, note := 0.0, true, 0, ""
	for name, w := range want {
		g, ok := got[name]
		if !ok {
			continue // a cache output that --prefill dropped
		}
		if len(w.Dims) == 3 && len(g.Dims) == 3 && g.Dims[1] == 1 && w.Dims[1] > 1 {
			w, note = lastPosition(w), "last position only"
		}
		d, err := worstDifference(g, w)
		if err != nil {
			return Check{}, fmt.Errorf("output %s: %w", name, err)
		}
		worst, same, compared = max(worst, d), same && bytes.Equal(g.Data, w.Data), compared+1
	}
	if compared == 0 {
		return Check{}, errors.New("the patched model has none of the original's outputs")
	}
	if len(v.patched.Manifest.Baked) > len(v.phrased) {
		return effect("the baked memory has an effect", -1, worst), nil
	}
	name := "tau = 0 equals the original"
	if len(v.phrased) > 0 {
		name = "a prompt without the phrase equals the original"
	}
	c := Check{Name: name, Layer: -1, Got: worst, Want: "0", OK: worst == 0, Note: note}
	switch {
	case same:
		c.Note = join(c.Note, "bit for bit")
	case inHalf(v.layout):
		// Hosts compute in float32 between conversions and place those by the graph around them.
		c.Want, c.OK, c.Note = fmt.Sprintf("<= %g", halfBound), worst <= halfBound, join(note, "float16")
	case note != "" || changedShape(got, want) || otherKernel(v.layout):
		c.Want, c.OK = "<= 1e-5", worst <= 1e-5 // other matrix shapes add up in another order, and so do other kernels
	}
	return c, nil
}

// otherKernel reports whether an attention operator gives out probabilities: hosts then compute them whole, and not in tiles.
func otherKernel(l *models.Layout) bool {
	return slices.ContainsFunc(l.Bodies[0].Layers, func(x *models.Layer) bool {
		s := ops.Of(x.Core).Attn
		return s != nil && s.Mode != "" && x.Core.Int(s.Mode, 0) != 0
	})
}

// changedShape reports whether the patched model dropped outputs: a prefill graph may compute in other shapes.
func changedShape(got, want map[string]*graph.Tensor) bool {
	for name := range want {
		if _, ok := got[name]; !ok {
			return true
		}
	}
	return false
}

func join(a, b string) string {
	if a == "" {
		return b
	}
	return a + ", " + b
}

// effects feeds each memory and each factor of the file and looks for a change of the outputs.
func (v *verifier) effects(s *decoder.Session, base, original map[string]*graph.Tensor) ([]Check, error) {
	var out []Check
	r := rand.New(rand.NewPCG(3, 4))
	for _, p := range v.patched.Manifest.Ports {
		port, known := p.Port()
		if !known || port.Kind != models.PortMemory && port.Kind != models.PortKeep {
			continue
		}
		feeds, what := map[string]*graph.Tensor{}, "a memory"
		if port.Kind == models.PortKeep {
			what = "a factor"
			feeds[p.Name] = port.Fill(v.layout, func() float32 { return -1 }) // the norm after the last layer removes a positive factor
		} else {
			tau := port.Site.Input(models.PortTau)
			feeds[p.Name] = port.Fill(v.layout, func() float32 { return float32(r.NormFloat64()) })
			feeds[tau.Name(p.Layer)] = tau.Fill(v.layout, func() float32 { return 4 })
		}
		got, err := v.run(s, feeds)
		if err != nil {
			return nil, err
		}
		maps.DeleteFunc(got, func(name string, _ *graph.Tensor) bool { return original[name] == nil })
		change, err := largestChange(got, base)
		if err != nil {
			return nil, err
		}
		name := what + " has an effect"
		if p.Site != "" {
			name = fmt.Sprintf("%s at %s has an effect", what, p.Site)
		}
		out = append(out, effect(name, p.Layer, change))
	}
	return out, nil
}

// largestChange returns the largest difference of the outputs that two runs have.
func largestChange(got, want map[string]*graph.Tensor) (float64, error) {
	change := 0.0
	for name, w := range want {
		g := got[name]
		if g == nil {
			continue
		}
		if len(w.Dims) == 3 && len(g.Dims) == 3 && g.Dims[1] == 1 && w.Dims[1] > 1 {
			w = lastPosition(w)
		}
		d, err := worstDifference(g, w)
		if err != nil {
			return 0, fmt.Errorf("output %s: %w", name, err)
		}
		change = max(change, d)
	}
	return change, nil
}

// effect is a check of something that must change the outputs.
func effect(name string, layer int, change float64) Check {
	return Check{Name: name, Layer: layer, Got: change, Want: fmt.Sprintf("> %g", effectBound), OK: change > effectBound}
}

// checkLaws runs the patched model with every port that the laws need. This is the one check that adds ports in memory.
func (v *verifier) checkLaws() ([]Check, error) {
	o := v.options
	if roundsActivations(v.layout) {
		// On processors without instructions for them (VNNI), products of 8-bit numbers saturate unless the host changes the graph, and
		// then heads do not add up. The laws do not need the same bits in two graphs.
		o.Level = runtime.Optimized
	}
	s, err := v.patched.Session(v.ctx, v.host, o, decoder.Apply(rewrite.Request{Expose: lawPorts(v.layout, v.patched.Manifest)}))
	if err != nil {
		return nil, fmt.Errorf("the patched model with more ports: %w", err)
	}
	defer s.Close()
	out, err := v.run(s, nil)
	if err != nil {
		return nil, fmt.Errorf("run the patched model with more ports: %w", err)
	}
	_, stored := models.SteeredBy(v.patched.Graph)
	found, err := (&outcome{layout: v.layout, out: out, stored: stored}).findings()
	return checks(found), err
}

// checks makes one check of each law, of a law for each layer as many as layers. One check of several layers or equations is of the
// one that is furthest from its bound.
func checks(found []finding) []Check {
	var out []Check
	at := map[string]int{}
	for _, f := range found {
		c := Check{Name: f.name, Layer: f.layer, Got: f.apart, Want: fmt.Sprintf("<= %g", f.bound), OK: f.apart <= f.bound, Note: f.note}
		if f.each {
			out = append(out, c)
			continue
		}
		if c.OK {
			c.Layer = -1
		} else {
			c.Note = join(c.Note, f.what)
		}
		i, seen := at[f.name]
		if !seen {
			at[f.name] = len(out)
			out = append(out, c)
		} else if old := out[i]; old.OK && !c.OK || old.OK == c.OK && c.Got > old.Got {
			out[i] = c
		}
	}
	return out
}
