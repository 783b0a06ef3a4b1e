package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/onnx-inject/onnx-inject/models/memory"
	"github.com/onnx-inject/onnx-inject/models/vector"
)

func encodeVerb() *verb {
	return &verb{
		name: "encode", args: "MODEL", need: "--text TEXT -o OUT", usage: "make a memory vector of a text and write it to a file",
		doc: `Writes the vector [d_model] that run and rewrite --bake would inject for the text. The ending of OUT says the format:
.npy holds the numbers only; .safetensors and .gguf hold the text, the encoding, the convention and the layer too.
The encodings unembed and embed read the weights and run nothing; layer runs the model and wants --layer.`,
		example: `onnx-inject encode onnx-inject-demo --text " Peru" -o onnx-inject-demo/peru.safetensors`,
		flags: slices.Concat([]cli.Flag{
			outFlag("the vector"),
			&cli.StringFlag{Name: "text", Usage: "the memory as `TEXT`"},
			&cli.StringFlag{Name: "layer", Usage: "layer `L` that the memory is meant for; -1 is the last"},
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
		return usagef("encode: want --text TEXT")
	case out == "":
		return usagef("encode: want -o OUT")
	case !slices.Contains(vector.Extensions(), filepath.Ext(out)):
		return usagef("flag -o %s: want a name that ends in %s", quote(out), strings.Join(vector.Extensions(), ", "))
	case enc == memory.EncodingLayer && !c.IsSet("layer"):
		return usagef("encode: --encoding layer wants --layer L")
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
		return refused(writeHint(err, 4*int64(len(data)))) // about writing it has a code of its own, which exitCode sees
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

// unlearned is why the vector of a text is faint: its tokens never occurred in training, and weight decay took their rows away.
const unlearned = ": the model never learned its tokens"

// noteFaint warns of a memory that can have no effect.
func (c *call) noteFaint(name string, norm float64, why string) {
	if norm < memory.Faint {
		c.note("the vector of %s is as good as zero (its length is %.2g)%s", name, norm, why)
	}
}
