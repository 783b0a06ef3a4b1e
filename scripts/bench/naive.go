package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/onnx-inject/onnx-inject/models"
	"github.com/onnx-inject/onnx-inject/rewrite"
	"github.com/onnx-inject/onnx-inject/runtime/decoder"
)

// naiveCells is the number of timed cells of each prompt.
const naiveCells = 3

// naive is the loop with which P7 and P8 compare: for each cell a clean run and a run with the memory, with a batch of one
// prompt and all logits. It prints the seconds per cell, the mean over prompts of the given lengths:
//
//	bench naive THREADS FOLDER LENGTH…
//
// The patched model does both. Without a memory it costs as much as the original (P5). The threads of two sessions in one
// process would disturb each other and make the loop twice as slow.
func naive(ctx context.Context, args []string, out io.Writer) error {
	if len(args) < 3 {
		return fmt.Errorf("naive %q: want a number of threads, a model folder and lengths", args)
	}
	threads, err := strconv.Atoi(args[0])
	if err != nil {
		return fmt.Errorf("naive: threads %q: want a number", args[0])
	}
	patched, err := openDecoder(ctx, args[1], threads, injectAll)
	if err != nil {
		return err
	}
	defer patched.Close()
	var total time.Duration
	for _, arg := range args[2:] {
		n, err := strconv.Atoi(arg)
		if err != nil {
			return fmt.Errorf("naive: length %q: want a number", arg)
		}
		cell := func() error {
			for range 2 {
				in, err := patched.feeds(n, 1)
				if err != nil {
					return err
				}
				if _, err := patched.Run(ctx, in, patched.logits); err != nil {
					return err
				}
			}
			return nil
		}
		if err := cell(); err != nil { // the first run of a length plans memory
			return err
		}
		start := time.Now()
		for range naiveCells {
			if err := cell(); err != nil {
				return err
			}
		}
		total += time.Since(start) / naiveCells
	}
	return json.NewEncoder(out).Encode((total / time.Duration(len(args)-2)).Seconds())
}

// injectAll adds a memory and a tau to every layer.
func injectAll(ctx context.Context, c *decoder.Copy) error {
	all := rewrite.Inject{Site: models.DefaultSite}
	for layer := range c.Layout.Layers {
		all.Layers = append(all.Layers, layer)
	}
	return decoder.Apply(rewrite.Request{Inject: []rewrite.Inject{all}})(ctx, c)
}
