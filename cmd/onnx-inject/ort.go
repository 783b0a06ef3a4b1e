package main

import (
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/onnx-inject/onnx-inject/graph/base/hint"
	"github.com/onnx-inject/onnx-inject/runtime/ort"
	"github.com/onnx-inject/onnx-inject/runtime/ort/lib"
)

func ortCommand() *command {
	cuda := boolFlag("cuda", "the build that can use NVIDIA GPUs")
	return &command{
		name: "ort", usage: "the ONNX Runtime library: which one, get it, is it well",
		doc: `Models run on the ONNX Runtime library, ` + lib.Oldest + ` or newer, which is looked for at --ort-lib, $ONNX_INJECT_ORT_LIB,
$ONNXRUNTIME_SHARED_LIBRARY_PATH, lib/ beside this program, the user cache and the system's folders, in this order.
inspect and rewrite do without it.`,
		example: "onnx-inject ort install",
		parts: []*command{
			{
				name: "which", usage: "the library that would be loaded",
				doc:     "Prints the path of the library that run, verify and demo would load. With --json also its version and where it was found.",
				example: "onnx-inject ort which",
				flags:   []cli.Flag{cuda, jsonFlag()},
				run:     ortWhich,
			},
			{
				name: "install", usage: "get the library with pip or npm",
				doc: `Gets the pinned version of the library with the package client of this machine, pip or npm, checks its SHA-256 and
puts it into the user cache. No install script runs. A good file that is there is left alone.`,
				example: "onnx-inject ort install",
				flags: []cli.Flag{cuda, &cli.StringFlag{Name: "dir", Usage: "put it into `DIR` and not into the user cache", TakesFile: true},
					jsonFlag()},
				run: ortInstall,
			},
			{
				name: "doctor", usage: "everything that is known about the library on this machine",
				doc: `Looks at every place, loads the library that would be taken, and tells what CUDA lacks. The exit code is 4 when no
library can be loaded.`,
				example: "onnx-inject ort doctor",
				flags:   []cli.Flag{cuda, jsonFlag()},
				run:     ortDoctor,
			},
		},
	}
}

func flavor(c *call) lib.Flavor {
	if c.Bool("cuda") {
		return lib.CUDA
	}
	return lib.CPU
}

func ortWhich(c *call) error {
	found, err := lib.Find(c.String("ort-lib"), flavor(c))
	if err != nil {
		return refused(err)
	}
	if c.Bool("json") {
		return c.out.json(found)
	}
	c.out.line(text("%s", found.Path))
	return nil
}

func ortInstall(c *call) error {
	in, err := lib.Install(c.ctx, lib.InstallOptions{Dir: c.String("dir"), Flavor: flavor(c), Log: func(s string) { c.note("%s", s) }})
	if err != nil {
		return refused(err)
	}
	if c.Bool("json") {
		return c.out.json(in)
	}
	if in.Already {
		c.note("ONNX Runtime %s is installed already", in.Version)
	}
	c.out.line(text("%s", in.Path))
	return nil
}

func ortDoctor(c *call) error {
	r := ort.Host{Lib: c.String("ort-lib")}.Doctor(c.ctx, flavor(c))
	var err error
	if c.Bool("json") {
		err = c.out.json(r)
	} else {
		printDoctor(c.out, r)
	}
	switch {
	case err != nil:
		return err
	case r.Problem != "":
		return coded{hint.With(fmt.Errorf("%s", r.Problem), r.Hint), exitFailed}
	case r.LoadProblem != "":
		return coded{fmt.Errorf("%s", r.LoadProblem), exitFailed}
	case c.Bool("cuda") && (!r.CUDA.Present || len(r.CUDA.Missing) > 0):
		return coded{fmt.Errorf("CUDA cannot be used: %s", cudaState(r.CUDA)), exitFailed}
	}
	return nil
}

func printDoctor(p *printer, r lib.Report) {
	rows := [][]span{
		{text("platform"), text("%s", r.Platform)},
		{text("versions"), text("%s is what install gets, %s the oldest that works", r.Pinned, r.Oldest)},
		{text("clients"), text("%s", orNone(strings.Join(r.Clients, ", ")))},
	}
	switch {
	case r.LoadedVersion != "":
		rows = append(rows, []span{text("library"), styled(green, "%s, loaded as version %s", r.Chosen.Path, r.LoadedVersion)})
	case r.Chosen != nil:
		rows = append(rows, []span{text("library"), styled(red, "%s does not load", r.Chosen.Path)})
	default:
		rows = append(rows, []span{text("library"), styled(red, "none")})
	}
	rows = append(rows, []span{text("CUDA"), text("%s", cudaState(r.CUDA))})
	p.table(rows)
	p.line(styled(bold, "looked at"))
	rows = nil
	for _, l := range r.Looked {
		state := text("absent")
		switch {
		case l.Problem != "":
			state = styled(red, "%s", l.Problem)
		case l.Exists:
			state = styled(green, "%s", "version "+orNone(l.Version))
		}
		rows = append(rows, []span{text("%s", l.Source), text("%s", l.Path), state})
	}
	p.table(rows)
}

func cudaState(g lib.GPU) string {
	switch {
	case g.Provider == "":
		return "no library to ask"
	case !g.Present:
		return "the library is for the CPU: " + g.Provider + " is absent"
	case len(g.Missing) > 0:
		return g.Provider + " needs " + strings.Join(g.Missing, ", ")
	}
	return "ready"
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}
