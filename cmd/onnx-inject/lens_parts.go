package main

import (
	"strconv"
	"strings"

	"github.com/onnx-inject/onnx-inject/runtime/study/lens"
)

// partFlags select parts of a prompt other than what its heads write.
var partFlags = []string{"stream", "attribution", "pattern"}

// topHeads is the value of --pattern that selects heads by attribution.
const topHeads = "top"

// partsOf reads the flags. A page without such a flag has everything that the file can give.
func partsOf(c *call) (lens.Parts, error) {
	p := lens.Parts{Stream: c.Bool("stream"), Attribution: c.Bool("attribution"), Patterns: c.IsSet("pattern")}
	if s := c.String("pattern"); p.Patterns && s != topHeads {
		for item := range strings.SplitSeq(s, ",") {
			layer, head, _ := strings.Cut(strings.TrimSpace(item), ".")
			l, err := strconv.Atoi(layer)
			h, err2 := strconv.Atoi(head)
			if err != nil || err2 != nil || l < 0 || h < 0 {
				return p, usagef("flag --pattern: want %s or a list of LAYER.HEAD such as 4.0,3.2, got %s", topHeads, quote(s))
			}
			p.Of = append(p.Of, lens.HeadAt{Layer: l, Head: h})
		}
	}
	if !selectsParts(c) {
		if c.IsSet("html") {
			return lens.Parts{Stream: true, Attribution: true, Patterns: true, Lenient: true}, nil
		}
		return p, nil
	}
	p.SkipHeads = !c.IsSet("entity") && !c.IsSet("layer") && !c.IsSet("csv")
	return p, nil
}

// selectsParts reports whether a flag selects a part.
func selectsParts(c *call) bool {
	for _, name := range partFlags {
		if c.IsSet(name) && c.String(name) != "false" {
			return true
		}
	}
	return false
}

// checkParts refuses flags that cannot be combined.
func checkParts(c *call) error {
	for _, name := range append(partFlags, "answer") {
		if c.IsSet(name) && c.IsSet("data") {
			return usagef("--%s and --data cannot be combined: it shows one prompt", name)
		}
	}
	if c.IsSet("answer") {
		switch {
		case c.String("answer") == "":
			return usagef("flag --answer: the text is empty")
		case !selectsParts(c) && !c.IsSet("html"):
			return usagef("lens: --answer needs --stream, --attribution, --pattern or --html")
		}
	}
	_, err := partsOf(c)
	return err
}
