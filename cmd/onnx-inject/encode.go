package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/urfave/cli/v2"

	"github.com/onnx-inject/onnx-inject/models/memory"
	"github.com/onnx-inject/onnx-inject/models/vector"
)

func encodeCommand() *command {
	return &command{
		name: "encode", args: "MODEL", need: "--text TEXT -o OUT", usage: "encode a text as a memory vector and write it to a file",
		doc: `Writes the vector [d_model] that run and rewrite --bake inject for the text. The extension of OUT selects the format:
.npy contains only the numbers; .safetensors and .gguf also contain the text, the encoding, the convention and the layer.
The encodings unembed and embed read the weights and do not run the model. The encoding layer runs it and needs --layer.`,
		example: `onnx-inject encode onnx-inject-demo --text " Peru" -o onnx-inject-demo/peru.safetensors`,
		flags: slices.Concat([]cli.Flag{
			outFlag("the vector"),
			&cli.StringFlag{Name: "text", Usage: "the memory as `TEXT`"},
			&cli.StringFlag{Name: "layer", Usage: "layer `L` that the memory is for; -1 is the last"},
			boolFlag("force", "replace OUT"),
			jsonFlag(),
		}, encodingFlags(), hostFlags()),
		run: encodeText,
	}
}

func encodeText(c *call) error {
	out := c.String("out")
	enc, conv := chosen[memory.Encoding](c, "encoding"), chosen[memory.Convention](c, "convention")
	switch {
	case c.String("text") == "":
		return usagef("encode: missing --text TEXT")
	case !utf8.ValidString(c.String("text")):
		return notUTF8("text", c.String("text"))
	case out == "":
		return usagef("encode: missing -o OUT")
	case !slices.Contains(vector.Extensions(), filepath.Ext(out)):
		return usagef("flag -o %s: want a name that ends in %s", quote(out), strings.Join(vector.Extensions(), ", "))
	case enc == memory.EncodingLayer && !c.IsSet("layer"):
		return usagef("encode: --encoding layer needs --layer L")
	}
	o, err := open(c.args[0])
	if err != nil {
		return err
	}
	defer o.Close()
	l, err := o.locate(c.ctx)
	if err != nil {
		return err
	}
	layer := 0
	if c.IsSet("layer") {
		if layer, err = oneLayer(c.String("layer"), l); err != nil {
			return err
		}
	}
	data, err := encode(c, o, l, c.String("text"), enc, conv, layer)
	if err != nil {
		return err
	}
	v := &vector.Vector{Name: "memory", Data: data, Meta: map[string]string{
		vector.MetaText: c.String("text"), vector.MetaEncoding: string(enc), vector.MetaConvention: string(conv),
		vector.MetaModel: filepath.Base(o.Folder.Model),
	}}
	if c.IsSet("layer") {
		v.Meta[vector.MetaLayer] = strconv.Itoa(layer)
	}
	c.noteFaint(quote(c.String("text")), memory.Length(data), unlearned)
	if err := vector.Write(out, v, c.Bool("force")); err != nil {
		return refused(writeHint(err, 4*int64(len(data)))) // exitCode recognises an error of writing and overrides this code
	}
	if c.Bool("json") {
		return c.out.json(struct {
			Path       string            `json:"path"`
			Text       string            `json:"text"`
			Encoding   memory.Encoding   `json:"encoding"`
			Convention memory.Convention `json:"convention"`
			DModel     int               `json:"d_model"`
			Norm       number            `json:"norm"`
		}{out, c.String("text"), enc, conv, len(data), number(memory.Length(data))})
	}
	c.out.line(styled(bold, "%s", out), text(": %s, %s, %s: %d numbers, norm %s", quote(c.String("text")), enc, conv, len(data), fmt.Sprintf("%.4g", memory.Length(data))))
	return nil
}

// unlearned explains why the vector of a text is almost zero: its tokens never occurred in training, and weight decay reduced
// their rows to nothing.
const unlearned = ": the model never learned its tokens"

// noteFaint warns about a memory that is too small to have an effect.
func (c *call) noteFaint(name string, norm float64, why string) {
	if norm < memory.Faint {
		c.note("the vector of %s is almost zero (norm %.2g)%s", name, norm, why)
	}
}
