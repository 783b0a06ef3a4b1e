package main

import (
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/onnx-inject/onnx-inject/runtime/steer"
)

func verifyCommand() *command {
	return &command{
		name: "verify", args: "PATCHED", usage: "check a patched copy against its original",
		doc: `Runs a patched copy and its original and checks that with tau = 0 every output equals the original's, that the heads add
up to the output of W_O, and that a memory has an effect at each layer that takes one. It prints the measured
differences. The exit code is 4 if a check fails.

It also compares the weights with the original's, or with what a copy with --weights ref records of the files that it
refers to: a sample of each tensor, which misses a change of a few numbers in a large tensor. --full reads every byte,
and checks the checksums that the model declares for external data. Without --full, only files of up to 16 MiB are read
whole.

The copy records the name of its original, which must be in the same folder; --against names another file or folder.`,
		example: "onnx-inject verify onnx-inject-demo/heads.onnx --against onnx-inject-demo",
		flags: append([]cli.Flag{
			&cli.StringFlag{Name: "against", Usage: "the `ORIGINAL`: a file or folder", TakesFile: true},
			boolFlag("full", "read every byte of the weights"),
			jsonFlag(),
		}, isolatedFlags()...),
		run: isolated(verifyModel),
	}
}

func verifyModel(c *call) error {
	o, err := open(c.args[0])
	if err != nil {
		return err
	}
	defer o.Close()
	c.noteNodes(o)
	host, options, err := hostOf(c)
	if err != nil {
		return err
	}
	r, err := steer.Verify(c.ctx, host, o.Model, c.String("against"), c.Bool("full"), options)
	if err != nil {
		return refused(err)
	}
	if c.Bool("json") {
		err = c.out.json(r)
	} else {
		printReport(c.out, r)
	}
	if err == nil && !r.OK {
		failed := 0
		for _, k := range r.Checks {
			if !k.OK {
				failed++
			}
		}
		err = coded{fmt.Errorf("verify %s: %d of %d checks failed", o.Folder.Model, failed, len(r.Checks)), exitFailed}
	}
	return err
}

func printReport(p *printer, r *steer.Report) {
	p.line(styled(bold, "%s", r.Patched), text(" against %s on %s", r.Original, r.Device))
	var rows [][]span
	for _, k := range r.Checks {
		mark := styled(green, "ok")
		if !k.OK {
			mark = styled(red, "FAILED")
		}
		at := "all"
		if k.Layer >= 0 {
			at = fmt.Sprintf("layer %d", k.Layer)
		}
		rows = append(rows, []span{mark, text("%s", k.Name), text("%s", at), text("%.3g", k.Got), text("want %s", k.Want), styled(dim, "%s", k.Note)})
	}
	p.table(rows, 3)
}
