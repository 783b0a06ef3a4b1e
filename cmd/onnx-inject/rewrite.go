package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/models"
	"github.com/onnx-inject/onnx-inject/models/folder"
	"github.com/onnx-inject/onnx-inject/rewrite"
	"github.com/onnx-inject/onnx-inject/runtime/steer"
)

func rewriteCommand() *command {
	row := func(name, doc string) string { return fmt.Sprintf("  %-12s%s\n", name, doc) }
	var kinds, sites, inputs string
	var names []string
	for _, k := range rewrite.Kinds {
		kinds += row(k.Name(), k.Doc())
	}
	for _, site := range models.Sites() {
		sites += row(string(site), site.Intervention().Doc)
	}
	for _, port := range models.DefaultSite.Intervention().Inputs() {
		if port.Kind != models.PortKeep {
			names = append(names, string(port.Kind))
		}
		inputs += row(string(port.Kind), port.Shape()+": "+port.Doc)
	}
	return &command{
		name: "rewrite", args: "MODEL", need: "-o OUT", usage: "write a patched copy of a model with more outputs and inputs",
		doc: `Writes a copy of the model with ports: outputs that show what the layers compute, and inputs that change it. --bake makes
a memory part of the file instead, without new inputs or outputs. The file records the changes in its metadata, under the
key onnx-inject.

--expose takes a list of KIND[@LAYERS], separated by commas: z@0-3,7,result is z at layers 0 to 3 and 7, and result at all
layers. The kinds:

` + kinds + `
--inject takes a list of [SITE@]LAYERS; the default site is attn_out. 7,mlp_out@0-3 is attn_out at layer 7 and mlp_out at
layers 0 to 3. The sites:

` + sites + `
Each site gets these inputs at each selected layer:

` + inputs + `
--gate takes the same list and adds keep, which multiplies what the model itself has at the site.

--bake stores interventions in the file: one memory of --memory or --vector, and those of --ablate, --scale and
--interventions. They act at all positions, because a file does not know where a prompt ends. Memories with --for, and
interventions at positions last:"TEXT", act at the last token of the phrase: the copy finds the phrase in its input, and
computes for other prompts what the original computes. A file with a cache must get the phrase in one step.

--weights selects where the weights of the copy are stored: ref refers to the original's files, which must stay in the
same folder; copy writes one data file next to the copy; embed writes a single file, up to 2 GiB; auto is ref in the
folder of the weights, otherwise embed for less than 1 GiB, otherwise copy. With ref, the copy records a sample of each
tensor, and is refused when the weights have changed; --digest also reads every byte, for verify --full.

OUT can be an existing folder: the copy then gets the name of the original. Without --force, no file is replaced; the
original is never replaced. The copy is written completely or not at all. --force also removes the data files that
--weights copy wrote for the old OUT, unless another model of the folder uses them.`,
		example: "onnx-inject rewrite onnx-inject-demo -o onnx-inject-demo/heads.onnx --expose result,pattern@-1 --inject all",
		flags: append([]cli.Flag{
			outFlag("the copy"),
			&cli.GenericFlag{Name: "expose", Usage: "add outputs: `KIND[@LAYERS],…`", Value: &texts{}},
			&cli.GenericFlag{Name: "inject", Usage: "add " + strings.Join(names, " and ") + " inputs at `[SITE@]LAYERS,…`", Value: &texts{}},
			&cli.GenericFlag{Name: "gate", Usage: "add keep inputs at `[SITE@]LAYERS,…`", Value: &texts{}},
			oneOf("weights", "`MODE` of the weights", graph.WeightsModes),
			boolFlag("digest", "with --weights ref: record a checksum of every byte of the weights"),
			boolFlag("prefill", "remove the cache: the copy takes whole prompts"),
			boolFlag("last-logits", "compute the logits of the last position only"),
			boolFlag("bake", "make interventions part of the file: a memory with --layer, --ablate, --scale, --interventions"),
			boolFlag("force", "replace OUT"),
			jsonFlag(),
		}, append(memoryFlags(), changeFlags()...)...),
		run: rewriteModel,
	}
}

func outFlag(what string) cli.Flag {
	return &cli.StringFlag{Name: "out", Aliases: []string{"o"}, Usage: "write " + what + " to `OUT`", TakesFile: true}
}

// rewriteFlags holds the flags, as far as they can be read without the model.
type rewriteFlags struct {
	out     string
	weights graph.Weights
	expose  []place[*rewrite.Kind]
	inject  []place[models.PortKind]
	gate    []place[models.PortKind]
	bake    *changes
}

func readRewriteFlags(c *call) (*rewriteFlags, error) {
	f := &rewriteFlags{out: c.String("out"), weights: chosen[graph.Weights](c, "weights")}
	var err error
	if f.expose, err = exposeFlag.parse(*c.Generic("expose").(*texts)); err != nil {
		return nil, err
	}
	if f.inject, err = injectFlag.parse(*c.Generic("inject").(*texts)); err != nil {
		return nil, err
	}
	if f.gate, err = gateFlag.parse(*c.Generic("gate").(*texts)); err != nil {
		return nil, err
	}
	for _, name := range []string{"layer", "tau", "memory", "for", "vector", "site", "encoding", "convention", "ablate", "scale", "interventions", "tau-unit"} {
		if c.IsSet(name) && !c.Bool("bake") {
			return nil, hintf(usagef("rewrite: --%s needs --bake", name), "--bake makes a memory part of the file; --inject adds inputs for one")
		}
	}
	if f.bake, err = readChanges(c); err != nil {
		return nil, err
	}
	switch {
	case len(f.expose)+len(f.inject)+len(f.gate) == 0 && !c.Bool("bake") && !c.Bool("prefill") && !c.Bool("last-logits"):
		return nil, hintf(usagef("rewrite: nothing to do: want at least one of --expose, --inject, --gate, --bake, --prefill, --last-logits"),
			"onnx-inject rewrite %s -o OUT --expose result --inject all", c.args[0])
	case f.out == "":
		return nil, usagef("rewrite: missing -o OUT")
	case c.Bool("bake") && f.bake.empty():
		return nil, usagef("rewrite: --bake needs --memory TEXT, --vector FILE, --ablate, --scale or --interventions FILE")
	case c.Bool("bake") && f.bake.unit == steer.TauNorm:
		return nil, usagef("rewrite: --tau-unit norm depends on a prompt, so it cannot be stored in a file; run prints the raw tau")
	case f.bake.memory != nil && !c.IsSet("layer"):
		return nil, usagef("rewrite: --bake needs --layer L")
	}
	return f, nil
}

func rewriteModel(c *call) error {
	f, err := readRewriteFlags(c)
	if err != nil {
		return err
	}
	o, l, err := c.openDecoder()
	if err != nil {
		return err
	}
	defer o.Close()
	if st, err := os.Stat(f.out); err == nil && st.IsDir() {
		f.out = filepath.Join(f.out, filepath.Base(o.Folder.Model))
	}
	if filepath.Ext(f.out) != ".onnx" {
		c.note("%s does not end in .onnx: a folder with it is not recognised as a model, and other programs may refuse it", f.out)
	}
	for _, w := range o.Graph.Warnings() {
		c.note("%s: %s", o.Folder.Model, w)
	}
	req, err := f.request(c, o, l)
	if err != nil {
		return err
	}
	r := &rewritten{NodesBefore: countNodes(o.Graph)}
	signature := func() int { return len(o.Graph.Graph.Inputs()) + len(o.Graph.Graph.Outputs()) }
	before, now := signature(), l
	if r.Manifest, now, err = rewrite.Apply(c.ctx, o.Graph, l, req); err != nil {
		return refused(fmt.Errorf("rewrite %s: %w", o.Folder.Model, err))
	}
	r.NodesAfter = countNodes(o.Graph)
	if err := c.notePhrases(o, now, req.Bake); err != nil {
		return err
	}
	r.Ports = r.Manifest.Ports[o.ports():]
	if req.Prefill && signature() == before+len(r.Ports) {
		c.note("%s has no cache: --prefill changes nothing", o.Folder.Model)
	}
	weights := graph.WeightsFor(o.Graph, f.out, f.weights)
	need := needs(o.Graph, weights)
	if err := checkSpace(f.out, need, freeSpace); err != nil {
		return err
	}
	r.Manifest.WholeData = c.Bool("digest")
	if r.Saved, err = rewrite.Save(c.ctx, o.Graph, r.Manifest, f.out, weights, c.Bool("force")); err != nil {
		return refused(writeHint(err, need)) // exitCode recognises an error of writing and overrides this code
	}
	r.WeightsWhy = weightsWhy(f.weights, r.Weights)
	if copied, err := folder.Open(f.out); err == nil && copied.TokenizerDir == "" && o.Folder.TokenizerDir != "" {
		c.note("run and encode need a tokenizer: put the tokenizer files of %s into the folder of the copy", o.Folder.TokenizerDir)
	}
	if c.Bool("json") {
		return c.out.json(r)
	}
	r.print(c.out, o.Folder.Model)
	return nil
}

// request resolves the layers and encodes the vector to bake.
func (f *rewriteFlags) request(c *call, o *opened, l *models.Layout) (req rewrite.Request, err error) {
	req.Prefill, req.LastLogits = c.Bool("prefill"), c.Bool("last-logits")
	expose, err := exposeFlag.count(f.expose, l)
	if err != nil {
		return req, err
	}
	inject, err := injectFlag.count(f.inject, l)
	if err != nil {
		return req, err
	}
	gate, err := gateFlag.count(f.gate, l)
	if err != nil {
		return req, err
	}
	for _, x := range expose {
		req.Expose = append(req.Expose, rewrite.Expose{Kind: x.what, Layers: x.layers})
	}
	for _, x := range inject {
		req.Inject = append(req.Inject, rewrite.Inject{Site: x.what, Layers: x.layers})
	}
	for _, x := range gate {
		req.Gate = append(req.Gate, rewrite.Inject{Site: x.what, Layers: x.layers})
	}
	entries, err := f.bake.resolve(c, l)
	if err != nil {
		return req, err
	}
	if err := c.noteBOS(entries, o); err != nil {
		return req, err
	}
	if m := f.bake.memory; m != nil && m.vector == nil {
		c.noteSpelling(m.text, o.tokens, l)
	}
	req.Bake, err = bakes(c, o, l, entries)
	return req, err
}
