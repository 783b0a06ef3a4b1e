package main

import (
	"os"
	"path/filepath"

	"github.com/urfave/cli/v2"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/models"
	"github.com/onnx-inject/onnx-inject/models/inputs"
	"github.com/onnx-inject/onnx-inject/models/recognise"
)

func inspectCommand() *command {
	return &command{
		name: "inspect", args: "MODEL", usage: "describe a model: its layers, sites, ports, inputs and outputs",
		doc: `Recognises the decoder in an ONNX file by its structure, whatever exported it. Lists the layers, the sites that can be
exposed, injected and gated, or the reasons why not, the existing ports, the inputs and outputs, and where the weights are
stored. It neither runs the model nor reads its weights.

--why also reports how far each known form of attention matched: how many nodes were tried, how many matched, and where
the closest miss was. It works for a refused file too.`,
		example: "onnx-inject inspect onnx-inject-demo",
		flags: []cli.Flag{
			jsonFlag(),
			boolFlag("why", "explain what was recognised and what was not, form by form"),
			boolFlag("text", "print the graph as text, and nothing else; long constants become …"),
			boolFlag("constants", "with --text: also print long values, so that the text is the whole graph without its large weights"),
		},
		run: inspect,
	}
}

func inspect(c *call) error {
	if c.Bool("text") && (c.Bool("json") || c.Bool("why")) {
		return usagef("inspect: --text cannot be combined with --json or --why")
	}
	if c.Bool("constants") && !c.Bool("text") {
		return usagef("inspect: --constants needs --text")
	}
	o, err := open(c.args[0])
	if err != nil {
		return err
	}
	defer o.Close()
	if c.Bool("text") {
		return c.printGraph(o.Graph)
	}
	l, err := o.locate(c.ctx)
	var why *recognise.Report
	if c.Bool("why") {
		why = recognise.Why(c.ctx, o.Graph, o.Folder.Config)
	}
	if err != nil {
		if why != nil {
			return errorOr(c.refusal(o, why), hintf(err, "")) // the hint would be to use --why
		}
		return err
	}
	d := describe(o, l)
	d.Why = why
	if c.Bool("json") {
		return c.out.json(d)
	}
	d.print(c.out)
	return nil
}

// printGraph prints a graph as text, in which every name is quoted.
func (c *call) printGraph(m *graph.Model) error {
	if c.Bool("constants") {
		return graph.Write(c.out.w, m)
	}
	left, err := graph.WriteShort(c.out.w, m)
	if left > 0 && err == nil {
		c.note("long values are written as … (%d in this graph); --constants prints them", left)
	}
	return err
}

// refusal prints why a file was not recognised.
func (c *call) refusal(o *opened, why *recognise.Report) error {
	if c.Bool("json") {
		return c.out.json(struct {
			File string            `json:"file"`
			Why  *recognise.Report `json:"why"`
		}{o.Folder.Model, why})
	}
	printWhy(c.out, why)
	return nil
}

// errorOr returns the first error that is not nil.
func errorOr(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

// description is the JSON of inspect.
type description struct {
	File      string                `json:"file"`
	Family    string                `json:"family"`
	Exporter  string                `json:"exporter"`
	Opset     int64                 `json:"opset"`
	IR        int64                 `json:"ir_version"`
	Layers    int                   `json:"layers"`
	Heads     int                   `json:"heads"`
	DHead     int                   `json:"d_head"`
	DModel    int                   `json:"d_model"`
	Vocab     int                   `json:"vocab"`
	NCtx      int                   `json:"n_ctx"`  // 0: the file does not say
	Merged    bool                  `json:"merged"` // two decoders in the branches of an If
	Parallel  bool                  `json:"parallel"`
	Nodes     int                   `json:"nodes"`
	Sites     []siteInfo            `json:"sites"`
	Inject    []siteInfo            `json:"inject"` // the sites at which a memory can be added
	Gate      []siteInfo            `json:"gate"`   // the sites whose own value can be multiplied
	Ports     []models.ManifestPort `json:"ports"`
	Baked     []models.Baked        `json:"baked"`
	Inputs    []signature           `json:"inputs"`
	Outputs   []signature           `json:"outputs"`
	Weights   weightsInfo           `json:"weights"`
	Config    string                `json:"config,omitempty"`    // path of config.json
	Tokenizer string                `json:"tokenizer,omitempty"` // folder of the tokenizer's files
	Others    []string              `json:"others,omitempty"`    // ONNX files of the folder that were not chosen
	Warnings  []string              `json:"warnings,omitempty"`
	Manifest  *models.Manifest      `json:"manifest,omitempty"`
	Why       *recognise.Report     `json:"why,omitempty"`
	traits
}

// signature is an input or output of the model.
type signature struct {
	Name  string `json:"name"`
	DType string `json:"dtype"`
	Shape []any  `json:"shape"` // sizes, names, or null; null for a shape that is not declared

	Role inputs.Role `json:"role,omitempty"` // of an input, if the file can be run
}

// weightsInfo lists the files that store the large tensors.
type weightsInfo struct {
	Bytes int64      `json:"bytes"` // of all large tensors
	Files []fileInfo `json:"files"`
}

type fileInfo struct {
	Path  string `json:"path"`
	Bytes int64  `json:"bytes"`
	Model bool   `json:"model"` // the model file itself, not an external data file
}

func describe(o *opened, l *models.Layout) *description {
	d := &description{
		File: o.Folder.Model, Family: l.Family, Exporter: l.Exporter, Opset: o.Graph.Opset(""), IR: o.Graph.IRVersion(),
		traits: traitsOf(o, l), Layers: l.Layers, Heads: l.Heads, DHead: l.DHead, DModel: l.DModel, Vocab: l.Vocab, NCtx: l.NCtx,
		Merged: len(l.Bodies) > 1, Sites: sitesOf(l), Inject: changesOf(l, models.PortMemory), Gate: changesOf(l, models.PortKeep),
		Ports: []models.ManifestPort{}, Baked: []models.Baked{},
		Inputs: signatures(o.Graph.Graph.Inputs()), Outputs: signatures(o.Graph.Graph.Outputs()), Weights: weightsOf(o.Graph),
		Config: o.Folder.ConfigFile, Tokenizer: o.Folder.TokenizerDir, Others: o.Folder.Others, Manifest: o.Manifest, Warnings: o.Graph.Warnings(), Nodes: countNodes(o.Graph),
	}
	if s, err := inputs.Read(o.Graph, l); err == nil {
		for i, r := range s.Roles { // in the order of the graph
			d.Inputs[i].Role = r.Role
		}
	}
	for _, layer := range l.Bodies[0].Layers {
		d.Parallel = d.Parallel || layer.ResidMid == nil
	}
	if man := o.Manifest; man != nil {
		d.Ports = append(d.Ports, man.Ports...)
		d.Baked = append(d.Baked, man.Baked...)
	}
	return d
}

func signatures(values []*graph.Value) []signature {
	out := []signature{}
	for _, v := range values {
		s := signature{Name: v.Name(), DType: v.Type().DType.String()}
		if v.Type().Ranked {
			s.Shape = []any{}
		}
		for _, d := range v.Type().Dims {
			switch {
			case d.Size >= 0:
				s.Shape = append(s.Shape, d.Size)
			case d.Name != "":
				s.Shape = append(s.Shape, d.Name)
			default:
				s.Shape = append(s.Shape, nil)
			}
		}
		out = append(out, s)
	}
	return out
}

func weightsOf(m *graph.Model) weightsInfo {
	w := weightsInfo{Bytes: m.WeightBytes(), Files: []fileInfo{}}
	own, _ := os.Stat(m.Path())
	for _, f := range m.Files() {
		st, err := os.Stat(f.Real)
		inside := err == nil && own != nil && os.SameFile(st, own)
		w.Files = append(w.Files, fileInfo{Path: shorter(m.Path(), f.Path), Bytes: f.Size, Model: inside})
	}
	return w
}

// shorter returns a path relative to the model's folder if the folder contains it.
func shorter(model, path string) string {
	if rel, err := filepath.Rel(filepath.Dir(model), path); err == nil && filepath.IsLocal(rel) {
		return rel
	}
	return path
}
