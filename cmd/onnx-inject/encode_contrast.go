package main

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/urfave/cli/v2"

	"github.com/onnx-inject/onnx-inject/graph/base/hint"
	"github.com/onnx-inject/onnx-inject/models"
	"github.com/onnx-inject/onnx-inject/models/vector"
	"github.com/onnx-inject/onnx-inject/runtime/study/contrast"
	"github.com/onnx-inject/onnx-inject/runtime/study/eval"
)

// contrastFlags are the flags of encode that make a steering vector for every layer from pairs of texts.
func contrastFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "positive", Usage: "texts of `FILE`, one for each of --negative", TakesFile: true},
		&cli.StringFlag{Name: "negative", Usage: "texts of `FILE`, one for each of --positive", TakesFile: true},
		oneOf("method", "`METHOD` that makes a direction of pairs", contrast.Methods),
		oneOf("site", "`SITE` at which the texts are read", contrast.Sites),
		textFlags()[0], // --prompt-bos
	}
}

// encodePairs makes a steering vector for every layer.
func encodePairs(c *call) error {
	out, site := c.String("out"), chosen[models.PortKind](c, "site")
	for _, name := range []string{"text", "layer", "encoding", "convention"} {
		if c.IsSet(name) {
			return usagef("encode: --%s and --positive cannot be combined: pairs of texts give a vector for every layer", name)
		}
	}
	switch ext := filepath.Ext(out); {
	case c.String("positive") == "":
		return usagef("encode: --negative needs --positive FILE")
	case c.String("negative") == "":
		return usagef("encode: --positive needs --negative FILE")
	case out == "":
		return usagef("encode: missing -o OUT")
	case ext != ".gguf" && ext != ".safetensors":
		return usagef("flag -o %s: want a name that ends in .gguf or .safetensors, which hold a vector for every layer", quote(out))
	case ext == ".gguf" && site != models.PortResidPost:
		return hintf(usagef("flag --site %s: a .gguf control vector is added at %s, so it must be read there", site, models.PortResidPost), "write .safetensors")
	}
	cfg := contrast.Config{Method: chosen[contrast.Method](c, "method"), Site: site, PromptBOS: c.Bool("prompt-bos"), Progress: progress(c.err, "texts")}
	for name, into := range map[string]*[]string{"positive": &cfg.Positive, "negative": &cfg.Negative} {
		texts, _, err := eval.ReadPrompts(c.String(name))
		if err != nil {
			return refused(hint.With(fmt.Errorf("flag --%s: %w", name, err), hint.Of(err)))
		}
		*into = texts
	}
	o, _, err := c.openDecoder()
	if err != nil {
		return err
	}
	defer o.Close()
	cfg.Model = o.Model
	host, options, err := hostOf(c)
	if err != nil {
		return err
	}
	cfg.Options = options
	found, err := contrast.Run(c.ctx, host, cfg)
	if err != nil {
		return refused(err)
	}
	if filepath.Ext(out) == ".gguf" {
		found = found[1:] // llama.cpp and repeng never steer layer 0
	}
	if len(found) == 0 {
		return hintf(refused(errors.New("a .gguf control vector begins with layer 1, and the model has only layer 0")), "write .safetensors")
	}
	var vectors []*vector.Vector
	numbers := 0
	for _, f := range found {
		vectors = append(vectors, f.Vector)
		numbers += len(f.Vector.Data)
	}
	if err := vector.WriteAll(out, vectors, c.Bool("force")); err != nil {
		return refused(writeHint(err, 4*int64(numbers))) // exitCode recognises an error of writing and overrides this code
	}
	if c.Bool("json") {
		return c.out.json(pairsJSON(out, &cfg, found))
	}
	printPairs(c.out, out, &cfg, found)
	return nil
}

type pairsResult struct {
	Path   string          `json:"path"`
	Method contrast.Method `json:"method"`
	Site   models.PortKind `json:"site"`
	Pairs  int             `json:"pairs"`
	DModel int             `json:"d_model"`
	Layers []layerResult   `json:"layers"`
}

type layerResult struct {
	Layer  int     `json:"layer"`
	Norm   number  `json:"norm"`
	Higher float64 `json:"higher"` // share of pairs whose positive text projects higher
}

func pairsJSON(out string, cfg *contrast.Config, found []contrast.Found) pairsResult {
	r := pairsResult{out, cfg.Method, cfg.Site, len(cfg.Positive), len(found[0].Vector.Data), nil}
	for _, f := range found {
		r.Layers = append(r.Layers, layerResult{f.Layer, number(f.Norm), f.Higher})
	}
	return r
}

func printPairs(p *printer, out string, cfg *contrast.Config, found []contrast.Found) {
	p.line(styled(bold, "%s", out), text(": %s of %s, %s, %s", plural(len(found), "direction"), plural(len(cfg.Positive), "pair"), cfg.Site, cfg.Method))
	rows := [][]span{{styled(dim, "layer"), styled(dim, "norm"), styled(dim, "positive higher")}}
	for _, f := range found {
		rows = append(rows, []span{text("%d", f.Layer), text("%.4g", f.Norm), text("%.0f %%", 100*f.Higher)})
	}
	p.table(rows, 0, 1, 2)
}
