package isolate

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"syscall"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/runtime"
)

// Child is this process, when [Command.Run] started it. A nil *Child is a process that nobody watches; its methods do nothing.
type Child struct {
	Stderr  *os.File         // for messages; the standard error of the process is for crashes
	Colour  bool             // standard output is to have colours
	Input   string           // of the parent's standard input, if it was read
	Signals <-chan os.Signal // that the parent passes on; those of the system are not for this process

	events *os.File
	last   atomic.Int64 // the id of the last phase
}

// phase is what a child does that has a limit.
type phase string

const (
	loading phase = "load"
	running phase = "run"
	ended   phase = "end"
)

// Enter makes this process a child if it was started as one: it sets the limit on memory. Otherwise it returns nil. A program
// calls it once, before anything else.
func Enter() (*Child, error) {
	text, ok := os.LookupEnv(environment)
	if !ok {
		return nil, nil
	}
	os.Unsetenv(environment) // for the processes that this one starts
	var s settings
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		return nil, fmt.Errorf("environment variable %s: %w", environment, err)
	}
	if err := limitMemory(s.Memory); err != nil {
		return nil, fmt.Errorf("limit the memory to %d bytes: %w", s.Memory, err)
	}
	input := make([]byte, s.Input)
	if _, err := io.ReadFull(os.Stdin, input); err != nil {
		return nil, fmt.Errorf("read %d bytes of the parent's input: %w", s.Input, err)
	}
	signals := make(chan os.Signal, 1)
	go func() {
		for b := make([]byte, 1); ; {
			if n, err := os.Stdin.Read(b); n == 0 || err != nil {
				os.Exit(1) // the parent is gone
			}
			signals <- syscall.Signal(b[0])
		}
	}()
	return &Child{
		Stderr: os.NewFile(messagesFile, "messages"), events: os.NewFile(eventsFile, "events"),
		Colour: s.Colour, Input: string(input), Signals: signals,
	}, nil
}

// End reports that the process ends by itself, with complete output.
func (c *Child) End() {
	if c != nil {
		c.report(event{phase: ended})
	}
}

// report writes an event. An error means that the parent is gone, which ends this process anyway.
func (c *Child) report(e event) { fmt.Fprintln(c.events, e.phase, e.id, e.begins) }

// during reports that a phase begins, and returns a function that reports its end.
func (c *Child) during(p phase) (end func()) {
	e := event{p, int(c.last.Add(1)), true}
	c.report(e)
	return func() {
		e.begins = false
		c.report(e)
	}
}

// Watch returns a host that reports what it does to the parent.
func (c *Child) Watch(h runtime.Host) runtime.Host {
	if c == nil {
		return h
	}
	return watchedHost{h, c}
}

type watchedHost struct {
	runtime.Host
	child *Child
}

func (h watchedHost) Open(ctx context.Context, m runtime.Model, o runtime.Options) (runtime.Session, error) {
	defer h.child.during(loading)()
	s, err := h.Host.Open(ctx, m, o)
	if err != nil {
		return nil, err
	}
	return watchedSession{s, h.child}, nil
}

type watchedSession struct {
	runtime.Session
	child *Child
}

func (s watchedSession) Run(ctx context.Context, in map[string]*graph.Tensor, want ...string) (map[string]*graph.Tensor, error) {
	defer s.child.during(running)()
	return s.Session.Run(ctx, in, want...)
}
