package models

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

var layerRange = regexp.MustCompile(`^(-?[0-9]+)(?:-(-?[0-9]+))?$`)

// ParseLayers reads a list of layers for a model with n layers: "all", "7", "0-3,7", "-1" for the last layer, "-2" for the
// one before it. The result is sorted and holds each layer once.
func ParseLayers(s string, n int) ([]int, error) { return parseIndexes("layer", s, n) }

// ParseHeads parses a list of heads for a model with n heads, in the form of ParseLayers.
func ParseHeads(s string, n int) ([]int, error) { return parseIndexes("head", s, n) }

func parseIndexes(what, s string, n int) ([]int, error) {
	on := make([]bool, max(n, 0))
	for item := range strings.SplitSeq(s, ",") {
		item = strings.TrimSpace(item)
		if item == "all" {
			item = "0--1"
		}
		ends := layerRange.FindStringSubmatch(item)
		if ends == nil {
			return nil, fmt.Errorf("%ss %q: got %q, want all, a number such as 7 or -1 (the last), or a range such as 0-3", what, s, item)
		}
		from, err := indexNumber(what, ends[1], n)
		to := from
		if err == nil && ends[2] != "" {
			to, err = indexNumber(what, ends[2], n)
		}
		if err != nil {
			return nil, fmt.Errorf("%ss %q: %w", what, s, err)
		}
		if to < from {
			return nil, fmt.Errorf("%ss %q: the range %q is reversed: %d to %d", what, s, item, from, to)
		}
		for l := from; l <= to; l++ {
			on[l] = true
		}
	}
	var out []int
	for l, yes := range on {
		if yes {
			out = append(out, l)
		}
	}
	return out, nil
}

// indexNumber reads one layer or head. Negative numbers count from the end.
func indexNumber(what, s string, n int) (int, error) {
	l, err := strconv.Atoi(s)
	if l < 0 {
		l += n
	}
	if err != nil || l < 0 || l >= n {
		return 0, fmt.Errorf("no %s %s: the model has %d %ss, 0 to %d", what, s, n, what, n-1)
	}
	return l, nil
}
