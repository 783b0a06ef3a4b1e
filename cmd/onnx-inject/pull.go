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
		name: "pull", args: "REPO", usage: "a model folder from the Hugging Face hub",
		doc: `Fetches an ONNX file of a repository, the files of its weights, config.json and the tokenizer, and nothing else.
Prints the folder, or the file, that the other verbs take: onnx-inject inspect $(onnx-inject pull
openai-community/gpt2). Without --file it is the ONNX file that a folder opens with: model.onnx,
decoder_model_merged.onnx or decoder_model.onnx, at the top or under onnx. --file takes another one, or a folder of
the repository: --file onnx/model_q4f16.onnx, --file cpu_and_mobile/cpu-int4-rtn-block-32-acc-level-4.

Files go into the cache that the hub's own client keeps ($HF_HUB_CACHE, $HF_HOME/hub or ~/.cache/huggingface/hub), and
what is there is not fetched again. A transfer that was cut goes on where it stopped; a file gets its name when its
checksum is right. HF_TOKEN (or the file that a login leaves) opens private and gated models, HF_ENDPOINT names
another hub, and with HF_HUB_OFFLINE=1 the cache must do.`,
		example: "onnx-inject pull openai-community/gpt2",
		flags: []cli.Flag{
			&cli.StringFlag{Name: "file", Usage: "take this `ONNX` file of the repository, or the one in this folder of it"},
			&cli.StringFlag{Name: "revision", Usage: "take this `BRANCH`, tag or commit", Value: hub.DefaultRevision},
			boolFlag("list", "show the ONNX files of the repository, and fetch nothing"),
			&cli.StringFlag{Name: "out", Aliases: []string{"o"}, Usage: "write plain files into `DIR`, and not into the cache", TakesFile: true},
			boolFlag("force", "with -o, replace files that hold something else"),
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
	client.Progress = bar.tell
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
	c.note("%s at %s: %d files, %s, %d fetched now", r.Repo, p.Commit[:8], len(p.Files), size(bytes), fetched)
	c.out.line(text("%s", p.Open))
	return nil
}

// checkPull refuses what can be told from the command line alone.
func checkPull(c *call) error {
	if err := hub.CheckRepo(c.args[0]); err != nil {
		return usage(fmt.Errorf("pull: %w", err))
	}
	file := c.String("file")
	switch {
	case file != "" && path.Ext(file) != ".onnx":
		return hintf(usagef("flag --file: want an ONNX file of the repository, got %s", quote(file)), "--list shows them")
	case c.IsSet("file") && c.Bool("list"):
		return usagef("flags --file and --list: want one of them")
	case c.IsSet("out") && c.Bool("list"):
		return usagef("flags -o and --list: want one of them")
	case c.IsSet("out") && c.String("out") == "", c.IsSet("file") && file == "", c.String("revision") == "":
		return usagef("pull: the value of a flag is empty")
	case c.Bool("force") && !c.IsSet("out"):
		return usagef("flag --force: wants -o DIR")
	}
	return nil
}

// pullError gives an error its exit code, and tells after an interruption how to go on.
func pullError(c *call, r hub.Request, last hub.Progress, err error) error {
	var stopped interrupted
	var write *atomicfile.Error
	switch {
	case errors.As(err, &stopped):
		if last.Done == 0 {
			return stopped
		}
		return hintf(fmt.Errorf("%w: %s of %s are here", stopped, size(last.Done), size(last.All)), "the same command goes on from there")
	case !errors.As(err, &write), hint.Of(err) != "":
	case r.Dir != "":
		err = hintf(err, "give another folder with -o")
	default:
		err = hintf(err, "HF_HUB_CACHE names another folder for the cache, -o one for plain files")
	}
	return refused(err) // about writing it has a code of its own, which exitCode sees
}
