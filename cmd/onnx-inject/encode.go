package main

import (
	"fmt"
	"math"
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
		name: "encode", args: "MODEL", need: "--text TEXT|--positive FILE -o OUT", usage: "encode a text or pairs of texts as memory vectors and write them to a file",
		doc: `Writes the vector [d_model] that run and rewrite --bake inject for the text. The extension of OUT selects the format:
.npy contains only the numbers; .safetensors and .gguf also contain the text, the encoding, the convention and the layer.
The encodings unembed and embed read the weights and do not run the model. The encoding layer runs it and needs --layer.

--positive and --negative make a steering vector for every layer instead, from pairs of texts: line N of both files (.txt,
or a column of .csv or .jsonl: FILE#COLUMN) is a pair. The model reads each text, and the method compares the activations
at its last token. The methods:

  mean        the mean difference, positive minus negative
  pca         the first principal component of the differences around their mean, of length 1: repeng's pca_diff
  pca_center  the first principal component of the texts around the middle of each pair, of length 1: repeng's pca_center

.gguf is a control vector of llama.cpp and repeng: direction.1 is that of layer 1 (layers count from 0, and layer 0 is
never steered). .safetensors has every layer, named by its hook. repeng reads the texts without the beginning-of-text
token where the tokenizer adds none, as for GPT-2: use --prompt-bos=false for the same vectors.`,
		example: `onnx-inject encode onnx-inject-demo --text " Peru" -o onnx-inject-demo/peru.safetensors`,
		flags: slices.Concat([]cli.Flag{
			outFlag("the vector"),
			&cli.StringFlag{Name: "text", Usage: "the memory as `TEXT`"},
			&cli.StringFlag{Name: "layer", Usage: "layer `L` that the memory is for; -1 is the last"},
			boolFlag("force", "replace OUT"),
			jsonFlag(),
		}, encodingFlags(), contrastFlags(), hostFlags()),
		run: encodeVectors,
	}
}

func encodeVectors(c *call) error {
	if c.IsSet("positive") || c.IsSet("negative") {
		return encodePairs(c)
	}
	for _, name := range []string{"method", "site", "prompt-bos"} {
		if c.IsSet(name) {
			return usagef("encode: --%s needs --positive FILE and --negative FILE", name)
		}
	}
	return encodeText(c)
}

func encodeText(c *call) error {
	out := c.String("out")
	enc, conv := chosen[memory.Encoding](c, "encoding"), chosen[memory.Convention](c, "convention")
	switch {
	case c.String("text") == "":
		return usagef("encode: missing --text TEXT, or --positive FILE and --negative FILE")
	case !utf8.ValidString(c.String("text")):
		return notUTF8("text", c.String("text"))
	case out == "":
		return usagef("encode: missing -o OUT")
	case !slices.Contains(vector.Extensions(), filepath.Ext(out)):
		return usagef("flag -o %s: want a name that ends in %s", quote(out), strings.Join(vector.Extensions(), ", "))
	case enc == memory.EncodingLayer && !c.IsSet("layer"):
		return usagef("encode: --encoding layer needs --layer L")
	}
	o, l, err := c.openDecoder()
	if err != nil {
		return err
	}
	defer o.Close()
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
	c.noteSpelling(c.String("text"), o.tokens, l)
	if err := vector.Write(out, v, c.Bool("force")); err != nil {
		return refused(writeHint(err, 0)) // exitCode recognises an error of writing and overrides this code
	}
	pieces, err := piecesOf(o, c.String("text"), enc)
	if err != nil {
		return err
	}
	if c.Bool("json") {
		mean, std := moments(data)
		return c.out.json(struct {
			Path       string            `json:"path"`
			Text       string            `json:"text"`
			Tokens     []pieceJSON       `json:"tokens"`
			Encoding   memory.Encoding   `json:"encoding"`
			Convention memory.Convention `json:"convention"`
			DModel     int               `json:"d_model"` // numbers in the vector
			Norm       number            `json:"norm"`    // Euclidean
			Mean       number            `json:"mean"`
			Std        number            `json:"std"` // of the numbers around their mean
			Min        number            `json:"min"`
			Max        number            `json:"max"`
		}{out, c.String("text"), pieces, enc, conv, len(data), number(memory.Length(data)), number(mean), number(std), number(slices.Min(data)), number(slices.Max(data))})
	}
	c.out.line(styled(bold, "%s", out), text(": %s, %s, %s: %d numbers, norm %s", quote(c.String("text")), enc, conv, len(data), fmt.Sprintf("%.4g", memory.Length(data))))
	return nil
}

// piecesOf returns the tokens that a memory is made from.
func piecesOf(o *opened, text string, enc memory.Encoding) ([]pieceJSON, error) {
	t, err := o.Folder.Tokenizer()
	if err != nil {
		return nil, refused(err)
	}
	ids, err := memory.PaperTexts.Memory(t, text)
	if enc == memory.EncodingLayer {
		ids, err = memory.PaperTexts.LayerMemory(t, text)
	}
	if err != nil {
		return nil, refused(err)
	}
	out := []pieceJSON{}
	for _, id := range ids {
		out = append(out, pieceJSON{t.Token(id), id})
	}
	return out, nil
}

// moments returns the mean and the standard deviation of numbers.
func moments(x []float32) (mean, std float64) {
	for _, v := range x {
		mean += float64(v) / float64(len(x))
	}
	for _, v := range x {
		std += (float64(v) - mean) * (float64(v) - mean) / float64(len(x))
	}
	return mean, math.Sqrt(std)
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
