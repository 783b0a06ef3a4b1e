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
	cuda := boolFlag("cuda", "use the build for NVIDIA GPUs")
	return &command{
		name: "ort", usage: "locate, install or diagnose ONNX Runtime",
		doc: `Models run on the ONNX Runtime library, version ` + lib.Oldest + ` or newer. The program searches --ort-lib, $ONNX_INJECT_ORT_LIB,
$ONNXRUNTIME_SHARED_LIBRARY_PATH, the onnxruntime package of the pip or npm that installed this program, the folder lib
next to this program, the user cache and the system's folders, in this order. inspect and rewrite do not need the
library.`,
		example: "onnx-inject ort install",
		parts: []*command{
			{
				name: "which", usage: "print the path of the library that would be loaded",
				doc:     "Prints the path of the library that run, verify and demo load. --json also prints its version and where it was found.",
				example: "onnx-inject ort which",
				flags:   []cli.Flag{cuda, jsonFlag()},
				run:     ortWhich,
			},
			{
				name: "install", usage: "install the library with pip or npm",
				doc: `Downloads the pinned version of the library with pip or npm, checks its SHA-256 and puts it into the user cache. No
install script runs. A valid file in the cache is kept.`,
				example: "onnx-inject ort install",
				flags: []cli.Flag{cuda, &cli.StringFlag{Name: "dir", Usage: "put the library into `DIR` instead of the user cache", TakesFile: true},
					jsonFlag()},
				run: ortInstall,
			},
			{
				name: "doctor", usage: "diagnose the library on this machine",
				doc: `Searches every place, loads the library that the other commands use, and lists what CUDA needs. The exit code is 4 if no
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
		{text("versions"), text("install provides %s; the oldest supported version is %s", r.Pinned, r.Oldest)},
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
	p.line(styled(bold, "searched"))
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
		return "unknown: no library was found"
	case !g.Present:
		return "the library is for the CPU: " + g.Provider + " is missing"
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
