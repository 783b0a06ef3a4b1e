package graph

import (
	"errors"
	"fmt"
	"slices"
)

// Edit collects changes to a model. Nothing happens before [Edit.Commit], which makes all of them or none. Values and
// nodes that an edit makes may be used by its later changes at once.
//
// An edit keeps every invariant of [Check] itself; it does not clean up what it did not touch. The first error is kept
// and returned by Commit, so that a chain of changes needs no checks in between.
type Edit struct {
	model *Model
	steps []step
	taken names          // of every scope
	next  map[string]int // the last number tried, by stem: names are never given back
	err   error
	done  bool
}

// step makes one change and returns how to take it back.
type step func() (undo func())

// Edit starts an edit.
func (m *Model) Edit() *Edit {
	e := &Edit{model: m, taken: make(names, m.nodes+m.values), next: map[string]int{}}
	for g := range m.Graphs() {
		for v := range g.values {
			e.taken.add(v.name)
		}
		for _, n := range g.nodes {
			e.taken.add(n.name)
		}
	}
	return e
}

// names is a set of names.
type names map[string]struct{}

func (n names) add(name string) { n[name] = struct{}{} }

func (n names) has(name string) bool {
	_, ok := n[name]
	return ok
}

func (e *Edit) fail(format string, args ...any) {
	if e.err == nil {
		e.err = fmt.Errorf(format, args...)
	}
}

// Fail makes Commit return err: for a caller who finds out half-way that the change cannot be made.
func (e *Edit) Fail(err error) {
	if e.err == nil {
		e.err = err
	}
}

// Fresh returns base, or base with the first free number behind it, and takes the name.
func (e *Edit) Fresh(base string) string {
	name := base
	for e.taken.has(name) {
		e.next[base]++
		name = fmt.Sprintf("%s_%d", base, e.next[base])
	}
	e.taken.add(name)
	return name
}

// Taken reports whether a value or node of that name exists in any scope, this edit's own included.
func (e *Edit) Taken(name string) bool { return e.taken.has(name) }

func (e *Edit) do(s step) { e.steps = append(e.steps, s) }

// Commit makes the changes, puts new nodes in their places, and checks the model. On an error the model is as it was.
func (e *Edit) Commit() error {
	if e.done {
		return errors.New("edit committed twice")
	}
	e.done = true
	if e.err != nil {
		return e.err
	}
	orders := map[*Graph][]*Node{}
	for g := range e.model.Graphs() {
		orders[g] = slices.Clone(g.nodes)
	}
	undos := make([]func(), 0, len(e.steps))
	for _, s := range e.steps {
		undos = append(undos, s())
		if e.err != nil {
			break
		}
	}
	err := e.err
	if err == nil {
		s := newSorter(e.model)
		for g := range e.model.Graphs() {
			s.place(g)
		}
		err = Check(e.model)
	}
	whole := e.model.whole
	takeBack := func() {
		for _, undo := range slices.Backward(undos) {
			undo()
		}
		for g, nodes := range orders {
			g.nodes = nodes
		}
		e.model.whole = whole
	}
	if err != nil {
		takeBack()
		return err
	}
	e.model.whole = false
	if e.model.trying {
		e.model.commits = append(e.model.commits, takeBack)
	}
	return nil
}

// Try makes several edits one: what f commits is taken back when it returns an error. Within another Try it is part of that.
func (m *Model) Try(f func() error) error {
	outer, from := m.trying, len(m.commits)
	m.trying = true
	err := f()
	if err != nil {
		for _, takeBack := range slices.Backward(m.commits[from:]) {
			takeBack()
		}
		m.commits = m.commits[:from]
	}
	if m.trying = outer; !outer {
		m.commits = nil
	}
	return err
}
