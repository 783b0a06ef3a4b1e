package main

import (
	"errors"
	"fmt"
	"os"
	"path"

	"github.com/urfave/cli/v2"

	"github.com/onnx-inject/onnx-inject/graph/base/atomicfile"
	"github.com/onnx-inject/onnx-inject/graph/base/hint"
	"github.com/onnx-inject/onnx-inject/models/hub"
)

func pullCommand() *command {
	return &command{
		name: "pull", args: "REPO", usage: "download a model folder from the Hugging Face hub",
		doc: `Downloads one ONNX file of a repository with its weights, config.json and the tokenizer's files, and nothing else. Prints
the folder or the file that the other commands take: onnx-inject inspect $(onnx-inject pull openai-community/gpt2).
The default is the first of model.onnx, decoder_model_merged.onnx and decoder_model.onnx, at the top or in the folder
onnx. --file selects another ONNX file, or a folder of the repository: --file onnx/model_q4f16.onnx,
--file cpu_and_mobile/cpu-int4-rtn-block-32-acc-level-4.

Files are stored in the cache of the hub's own client ($HF_HUB_CACHE, $HF_HOME/hub or ~/.cache/huggingface/hub). pull
skips cached files and resumes interrupted downloads. A file gets its name only after its checksum has been verified.
HF_TOKEN, or the token file that a login writes, gives access to private and gated models. HF_ENDPOINT selects another
hub. With HF_HUB_OFFLINE=1, no network requests are made and only cached files are used.`,
		example: "onnx-inject pull openai-community/gpt2",
		flags: []cli.Flag{
			&cli.StringFlag{Name: "file", Usage: "download this `ONNX` file of the repository, or the one in this folder"},
			&cli.StringFlag{Name: "revision", Usage: "use this `BRANCH`, tag or commit", Value: hub.DefaultRevision},
			boolFlag("list", "list the ONNX files of the repository without downloading"),
			&cli.StringFlag{Name: "out", Aliases: []string{"o"}, Usage: "write plain files into `DIR` instead of the cache", TakesFile: true},
			boolFlag("force", "with -o, replace files whose contents differ"),
			jsonFlag(),
		},
		run: runPull,
	}
}

func runPull(c *call) error {
	if err := checkPull(c); err != nil {
		return err
	}
	client, err := hub.FromEnv(os.Getenv)
	if err != nil {
		return usage(err)
	}
	bar := pullProgress(c.err)
	client.Agent = "onnx-inject/" + version()
	client.Progress = bar.show
	client.Log = func(s string) {
		bar.end()
		c.note("%s", s)
	}
	client.Room = func(dir string, need int64) error { return checkRoom(dir, dir, need, freeSpace) }
	if c.Bool("list") {
		return listRepo(c, client)
	}
	r := hub.Request{Repo: c.args[0], Revision: c.String("revision"), File: c.String("file"), Dir: c.String("out"), Force: c.Bool("force")}
	p, err := client.Pull(c.ctx, r)
	bar.end()
	if err != nil {
		return pullError(c, r, bar.last, err)
	}
	if c.Bool("json") {
		return c.out.json(pullJSON(r, p))
	}
	var bytes, fetched int64
	for _, f := range p.Files {
		bytes += f.Size
		if f.Fetched {
			fetched++
		}
	}
	c.note("%s at %s: %d files, %s, %d downloaded now", r.Repo, p.Commit[:8], len(p.Files), size(bytes), fetched)
	c.out.line(text("%s", p.Open))
	return nil
}

// checkPull refuses errors that are visible in the command line alone.
func checkPull(c *call) error {
	if err := hub.CheckRepo(c.args[0]); err != nil {
		return usage(fmt.Errorf("pull: %w", err))
	}
	file := c.String("file")
	switch {
	case file != "" && path.Ext(file) != ".onnx":
		return hintf(usagef("flag --file: want an ONNX file of the repository, got %s", quote(file)), "--list shows them")
	case c.IsSet("file") && c.Bool("list"):
		return usagef("--file and --list cannot be combined")
	case c.IsSet("out") && c.Bool("list"):
		return usagef("-o and --list cannot be combined")
	case c.IsSet("out") && c.String("out") == "", c.IsSet("file") && file == "", c.String("revision") == "":
		return usagef("pull: the value of a flag is empty")
	case c.Bool("force") && !c.IsSet("out"):
		return usagef("pull: --force needs -o DIR")
	}
	return nil
}

// pullError gives an error its exit code. After an interruption, the hint says how to resume.
func pullError(c *call, r hub.Request, last hub.Progress, err error) error {
	var stopped interrupted
	var write *atomicfile.Error
	switch {
	case errors.As(err, &stopped):
		if last.Done == 0 {
			return stopped
		}
		return hintf(fmt.Errorf("%w: %s of %s have been downloaded", stopped, size(last.Done), size(last.All)), "run the same command again to resume")
	case !errors.As(err, &write), hint.Of(err) != "":
	case r.Dir != "":
		err = hintf(err, "choose another folder with -o")
	default:
		err = hintf(err, "set HF_HUB_CACHE to another cache folder, or write plain files with -o DIR")
	}
	return refused(err) // exitCode recognises an error of writing and overrides this code
}
