package graph

import (
	"errors"
	"fmt"
)

// Edit collects changes to a model. Nothing happens before [Edit.Commit], which makes all of them or none. Values and nodes
// that an edit makes may be used by its later changes immediately.
//
// An edit keeps every invariant of [Check]. It does not clean up what it did not touch. The first error is kept and
// returned by Commit, so that a chain of changes needs no checks in between.
type Edit struct {
	model *Model
	steps []func()
	taken names          // of every scope; nil until needed
	next  map[string]int // the last number tried, by stem; names are never released
	err   error
	done  bool
}

// Edit starts an edit.
func (m *Model) Edit() *Edit { return &Edit{model: m, next: map[string]int{}} }

// names returns the names in use.
func (e *Edit) names() names {
	if e.taken != nil {
		return e.taken
	}
	e.taken = make(names, e.model.nodes+e.model.values)
	for g := range e.model.Graphs() {
		for v := range g.values {
			e.taken.add(v.name)
		}
		for _, n := range g.nodes {
			e.taken.add(n.name)
		}
	}
	return e.taken
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

// Fail makes Commit return err. Use it to give up a change half-way.
func (e *Edit) Fail(err error) {
	if e.err == nil {
		e.err = err
	}
}

// Fresh reserves and returns base, or base followed by the first free number.
func (e *Edit) Fresh(base string) string {
	name := base
	for e.names().has(name) {
		e.next[base]++
		name = fmt.Sprintf("%s_%d", base, e.next[base])
	}
	e.names().add(name)
	return name
}

// Taken reports whether a value or node of that name exists in any scope or was added by this edit.
func (e *Edit) Taken(name string) bool { return e.names().has(name) }

// do adds a change. A change that turns out to be impossible calls fail, and everything changed so far is restored. A
// change writes to objects through [Edit.value], [Edit.node] and [Edit.graph].
func (e *Edit) do(step func()) { e.steps = append(e.steps, step) }

// Commit makes the changes, moves new nodes to their places, and checks the model. After an error the model is as it was
// before.
func (e *Edit) Commit() error {
	if e.done {
		return errors.New("edit committed twice")
	}
	e.done = true
	if e.err != nil {
		return e.err
	}
	return e.model.Try(e.make)
}

// make makes the changes. After an error it may have made only some of them.
func (e *Edit) make() error {
	m := e.model
	m.begin()
	kept := len(m.past)
	for _, step := range e.steps {
		if step(); e.err != nil {
			return e.err
		}
	}
	touched := len(m.past) > kept // a graph, node or value was changed
	s := newSorter(m)
	for g := range m.Graphs() {
		s.place(e.graph(g))
	}
	if !touched {
		return nil // a valid model stays valid in another order
	}
	m.whole = false
	return Check(m)
}

// Try combines several edits: when f returns an error, the model is as it was before f, even if f has committed edits. A
// Try may be part of another.
func (m *Model) Try(f func() error) error {
	from := len(m.past)
	m.tries++
	err := f()
	if err != nil {
		m.restore(from)
	}
	if m.tries--; m.tries == 0 {
		m.past = nil
	}
	return err
}
