package graph

import (
	"cmp"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/onnx-inject/onnx-inject/graph/base/hint"
)

// Hosts put the nodes of a graph in order before they inline calls, and a call is one node. It needs all of its inputs, also
// those that the body does not read. So the inlined nodes can have an order although the nodes of the file have none.

// needs finds the nodes that a node must follow, in a graph and in the graphs inside it.
type needs struct {
	inOrder bool // a node may read only what nodes before it produce; else any order of the file is accepted if there is one
}

// graph checks a GraphProto. It returns the names that are read and are defined in the graphs around it.
func (s needs) graph(graph []byte) (outer []string, err error) {
	var nodes [][]byte
	var given, outs []string
	_ = fields(graph, func(num protowire.Number, _, body []byte) error {
		switch num {
		case 1:
			nodes = append(nodes, body)
		case 5:
			given = append(given, stringField(body, 8))
		case 11:
			given = append(given, stringField(body, 1))
		case 12:
			outs = append(outs, stringField(body, 1))
		}
		return nil
	})
	return s.nodes(nodes, given, outs)
}

// nodes checks the nodes of one scope. The names in given need no node.
func (s needs) nodes(nodes [][]byte, given, outs []string) (outer []string, err error) {
	const noNode = -1
	producer := map[string]int{}
	for _, name := range given {
		producer[name] = noNode
	}
	for i, n := range nodes {
		if err := nodeDefinitions(n, false, func(name string) { producer[name] = i }); err != nil {
			return nil, err
		}
	}
	seen := map[string]bool{}
	of := make([][]int, len(nodes)) // the nodes that a node needs
	read := func(reader int, name string) error {
		i, inner := producer[name]
		switch {
		case name == "" || seen[name]:
		case !inner:
			seen[name] = true
			outer = append(outer, name)
		case reader == noNode || i == noNode:
		case s.inOrder && i >= reader:
			return fmt.Errorf("a node reads %q before another produces it", name)
		default:
			of[reader] = append(of[reader], i)
		}
		return nil
	}
	for i, n := range nodes {
		c, err := readNode(n)
		if err != nil {
			return nil, err
		}
		names := c.ins
		err = c.branches(func(g []byte) error {
			more, err := s.graph(g)
			names = append(names, more...)
			return err
		})
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			if err := read(i, name); err != nil {
				return nil, err
			}
		}
	}
	for _, name := range outs {
		_ = read(noNode, name) // cannot be out of order
	}
	if i := cycle(of); i >= 0 {
		result := ""
		_ = nodeDefinitions(nodes[i], false, func(name string) { result = cmp.Or(result, name) }) // read above
		return nil, hint.With(fmt.Errorf("the node that computes %q depends on itself: a call needs all of its inputs, also those that the function does not read", result), noFunctions)
	}
	return outer, nil
}

// cycle returns a node on a cycle, or -1. The argument lists the nodes that each node needs.
func cycle(of [][]int) int {
	state := make([]uint8, len(of))
	next := make([]int, len(of)) // the first need of a node that is not yet visited
	var path []int               // not recursive: a chain may be 50,000 nodes long
	for root := range of {
		if state[root] == unseen {
			state[root], path = open, append(path, root)
		}
		for len(path) > 0 {
			i := path[len(path)-1]
			if next[i] == len(of[i]) {
				state[i], path = done, path[:len(path)-1]
				continue
			}
			j := of[i][next[i]]
			next[i]++
			switch state[j] {
			case open:
				return j
			case unseen:
				state[j], path = open, append(path, j)
			}
		}
	}
	return -1
}
