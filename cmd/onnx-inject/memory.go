package main

import (
	"fmt"
	"math"
	"unicode/utf8"

	"github.com/urfave/cli/v2"

	"github.com/onnx-inject/onnx-inject/models"
	"github.com/onnx-inject/onnx-inject/models/intervention"
	"github.com/onnx-inject/onnx-inject/models/memory"
	"github.com/onnx-inject/onnx-inject/models/vector"
	"github.com/onnx-inject/onnx-inject/runtime"
	"github.com/onnx-inject/onnx-inject/runtime/ort"
	"github.com/onnx-inject/onnx-inject/runtime/ort/lib"
	"github.com/onnx-inject/onnx-inject/runtime/steer"
)

// injection is the memory that the flags describe: a text or a vector, and its magnitude.
type injection struct {
	text       string
	tokens     []steer.Token // of the text, or of the text that the file of the vector names; nil until [call.spell]
	vector     []float32     // from a file; nil for a text
	source     models.Baked
	encoding   memory.Encoding
	convention memory.Convention
	tau        float64
	site       models.PortKind
	positions  string
	when       intervention.When
	entry      intervention.Entry // all of it, once the model is known
}

// encodingFlags select how a text becomes a vector.
func encodingFlags() []cli.Flag {
	return []cli.Flag{
		oneOf("encoding", "`ENCODING` of the text", memory.Encodings),
		oneOf("convention", "`CONVENTION` of the vector", memory.Conventions),
	}
}

// memoryFlags are the flags of the commands that inject a memory.
func memoryFlags() []cli.Flag {
	return append([]cli.Flag{
		&cli.GenericFlag{Name: "memory", Usage: "the memory as `TEXT`, or text:TEXT as in eval; can be repeated, each with its --for", Value: &texts{}, DefaultText: "none"},
		&cli.GenericFlag{Name: "for", Usage: "the model's state of --memory replaces that of the last token of `PHRASE` in the prompt; can be repeated", Value: &texts{}, DefaultText: "none"},
		&cli.StringFlag{Name: "vector", Usage: "the memory as a vector from `FILE`: .npy, .safetensors or .gguf; FILE#NAME chooses one, DIR#HOOK[ROW] a captured one", TakesFile: true},
		oneOf("site", "add the memory at `SITE`", models.Memorable()),
		&cli.StringFlag{Name: "layer", Usage: "`LAYERS` that the memory is added to, such as 7 or 3-5; -1 is the last"},
		&cli.Float64Flag{Name: "tau", Usage: "magnitude `T` of the memory", Value: 1},
	}, encodingFlags()...)
}

// hostFlags select the device and the threads that run the model.
func hostFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "device", Usage: "run on `DEVICE`: cpu, cuda or cuda:N", Value: "cpu"},
		&cli.IntFlag{Name: "threads", Usage: "use `N` threads; 0 means one for each core"},
	}
}

// readMemory reads the flags. It returns nil if they name no memory.
func readMemory(c *call) (*injection, error) {
	m := &injection{
		tau: c.Float64("tau"), site: chosen[models.PortKind](c, "site"), positions: c.String("positions"),
		encoding: chosen[memory.Encoding](c, "encoding"), convention: chosen[memory.Convention](c, "convention"),
	}
	file, given := c.String("vector"), *c.Generic("memory").(*texts)
	if len(given) > 0 {
		m.text = textOf(given[0])
	}
	switch {
	case len(given) > 1:
		return nil, hintf(usagef("--memory was given twice: it takes one value"), "several memories need a --for each")
	case math.IsNaN(m.tau) || math.IsInf(float64(float32(m.tau)), 0):
		return nil, usagef("flag --tau: want a number that float32 can hold, got %v", m.tau)
	case c.IsSet("memory") && c.IsSet("vector"):
		return nil, usagef("--memory and --vector cannot be combined: a memory is a text or a file")
	case c.IsSet("memory") && m.text == "":
		return nil, hintf(usagef("flag --memory: the text is empty"), "want TEXT or text:TEXT")
	case !utf8.ValidString(m.text):
		return nil, notUTF8("memory", m.text)
	case c.IsSet("vector") && (c.IsSet("encoding") || c.IsSet("convention")):
		return nil, usagef("--vector cannot be combined with --encoding or --convention: they select how a text becomes a vector")
	case c.IsSet("vector"):
		v, err := vector.Read(file)
		if err != nil {
			return nil, refused(err)
		}
		m.vector = v.Data
		m.source.Text = v.Meta[vector.MetaText]
		m.source.Encoding = v.Meta[vector.MetaEncoding]
		m.source.Convention = v.Meta[vector.MetaConvention]
		return m, nil
	case c.IsSet("memory"):
		c.noteSource(given[0])
		m.source = models.Baked{Text: m.text, Encoding: string(m.encoding), Convention: string(m.convention)}
		return m, nil
	}
	return nil, nil
}

// notUTF8 refuses the text of a flag: bytes in another encoding would become other tokens.
func notUTF8(flag, text string) error {
	return usagef("flag --%s: want UTF-8, got %s", flag, quote(text))
}

// fits refuses a vector whose width is not the model's. A run without a memory has a nil m.
func (m *injection) fits(l *models.Layout) error {
	if m != nil && m.vector != nil && m.site.Intervention().ByHead() && len(m.vector) != l.Heads*l.DHead {
		return refused(fmt.Errorf("the vector has %d numbers, but z has %d heads of %d: it was made for another model or site", len(m.vector), l.Heads, l.DHead))
	}
	if m != nil && m.vector != nil && !m.site.Intervention().ByHead() && len(m.vector) != l.DModel {
		return refused(fmt.Errorf("the vector has %d numbers, but d_model is %d: it was made for another model", len(m.vector), l.DModel))
	}
	return nil
}

// encode returns the vector of a text. Only the encoding layer runs the model.
func encode(c *call, o *opened, l *models.Layout, text string, enc memory.Encoding, conv memory.Convention, layer int) ([]float32, error) {
	if enc != memory.EncodingLayer {
		ids, err := o.tokens(text)
		if err != nil {
			return nil, err
		}
		v, err := memory.Vector(l, ids, enc, conv)
		return v, refused(err)
	}
	m, err := openSteer(c, o)
	if err != nil {
		return nil, err
	}
	defer m.Close()
	v, err := m.Encode(c.ctx, text, enc, conv, layer)
	return v, refused(err)
}

// openSteer prepares the model for the host that the flags select.
func openSteer(c *call, o *opened) (*steer.Model, error) {
	if _, err := o.Folder.Tokenizer(); err != nil { // check this before loading the model, which takes seconds
		return nil, refused(err)
	}
	host, options, err := hostOf(c)
	if err != nil {
		return nil, err
	}
	m, err := steer.New(c.ctx, host, o.Model, options)
	return m, refused(err)
}

// hostOf reads the flags about the host and finds its library.
func hostOf(c *call) (runtime.Host, runtime.Options, error) {
	h, o, err := ortOf(c)
	if err != nil {
		return nil, o, err
	}
	return c.child.Watch(h), o, nil
}

// ortOf is [hostOf] for callers that watch the host themselves.
func ortOf(c *call) (h ort.Host, o runtime.Options, err error) {
	if o.Device, err = deviceOf(c); err != nil {
		return h, o, err
	}
	o.Threads = c.Int("threads")
	if err := ort.CheckThreads(o.Threads); err != nil {
		return h, o, badFlag("threads", err)
	}
	flavor := lib.CPU
	if o.Device.CUDA {
		flavor = lib.CUDA
	}
	found, err := lib.Find(c.String("ort-lib"), flavor)
	if err != nil {
		return h, o, refused(err)
	}
	return ort.Host{Lib: found.Path}, o, nil
}

// deviceOf reads --device. A command without the flag runs on the CPU.
func deviceOf(c *call) (runtime.Device, error) {
	s := c.String("device")
	if s == "" && !c.IsSet("device") {
		return runtime.Device{}, nil
	}
	d, err := runtime.ParseDevice(s)
	if err != nil {
		return d, badFlag("device", err)
	}
	return d, nil
}
