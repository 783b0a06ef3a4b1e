package isolate

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	goruntime "runtime"
	"strings"
	"syscall"
	"time"
)

// environment is the variable that makes a process a child. It holds the child's [settings] as JSON.
const environment = "ONNX_INJECT_ISOLATED"

// The files of the child, besides the standard ones.
const (
	messagesFile = 3
	eventsFile   = 4
)

// settings are what a child needs to know and its arguments do not say.
type settings struct {
	Memory int64 `json:"memory"`
	Colour bool  `json:"colour"`
	Input  int   `json:"input,omitempty"` // bytes of Command.Input, which the child's standard input begins with
}

// Command is a command line of this program, to be run in a child process.
type Command struct {
	Args   []string // with the program's name
	Input  string   // text of standard input; that of the child has signals after it
	Limits Limits
	Colour bool      // standard output is a terminal that shows colours
	Stdout io.Writer // gets the whole output when the child has ended by itself
	Stderr io.Writer // gets messages at once; a terminal stays one if this is its file
}

// Limits are the limits of a child; 0 means no limit.
type Limits struct {
	Load   time.Duration // for loading a model, each time
	Run    time.Duration // for one run of a model
	Memory int64         // bytes of address space
}

// of returns the limit of a phase.
func (l Limits) of(p phase) time.Duration {
	if p == loading {
		return l.Load
	}
	return l.Run
}

// Run runs the command and returns its exit code. An error means that the child did not end by itself: a [*Death], or the cause
// of ctx. When ctx ends, the child gets the signal that the cause names with a method Signal, and Run waits for it to end.
func (c Command) Run(ctx context.Context) (code int, err error) {
	if goruntime.GOOS == "windows" {
		return 0, errors.New("isolation: not supported on Windows")
	}
	w, err := c.start()
	if err != nil {
		return 0, fmt.Errorf("isolation: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { w.signal(context.Cause(ctx)) })
	defer stop()
	return w.wait(ctx)
}

// watch is a child that is running.
type watch struct {
	Command
	process *exec.Cmd
	stdin   *os.File     // signals for the child
	events  *os.File     // of the child
	stdout  bytes.Buffer // of the child
	crash   head         // what it prints when it crashes
	copied  chan struct{}
	told    chan struct{} // closed when the input is written, or the child has ended
}

func (c Command) start() (w *watch, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(settings{c.Limits.Memory, c.Colour, len(c.Input)})
	if err != nil {
		return nil, err
	}
	w = &watch{Command: c, process: &exec.Cmd{Path: self, Args: c.Args}, copied: make(chan struct{}), told: make(chan struct{})}
	var mine, theirs []*os.File // ends of pipes
	defer func() {
		closeAll(theirs)
		if err != nil {
			closeAll(mine)
		}
	}()
	pipe := func() (r, w *os.File) {
		if err == nil {
			r, w, err = os.Pipe()
		}
		return r, w
	}
	orders, stdin := pipe()
	messages, stderr := pipe()
	events, out := pipe()
	mine, theirs = []*os.File{stdin, messages, events}, []*os.File{orders, stderr, out}
	if err != nil {
		return nil, err
	}
	if f, ok := c.Stderr.(*os.File); ok {
		stderr = f
	}
	w.stdin, w.events = stdin, events
	w.process.Env = append(os.Environ(), environment+"="+string(text))
	w.process.Stdin, w.process.Stdout, w.process.Stderr = orders, &w.stdout, &w.crash
	w.process.ExtraFiles = []*os.File{stderr, out}
	if err := w.process.Start(); err != nil {
		return nil, err
	}
	go func() {
		defer close(w.copied)
		defer messages.Close()
		io.Copy(c.Stderr, messages) // ends when the child has, at once if the child has the file itself
	}()
	go func() { // a pipe holds less than a long text
		defer close(w.told)
		io.WriteString(w.stdin, c.Input) // fails if the child has ended
	}()
	return w, nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close() // a pipe that could not be made is nil, which Close accepts
	}
}

// signal passes the signal of a cause on; another cause ends the child.
func (w *watch) signal(cause error) {
	var s interface{ Signal() os.Signal }
	number := syscall.SIGTERM
	if errors.As(cause, &s) {
		if n, ok := s.Signal().(syscall.Signal); ok {
			number = n
		}
	}
	<-w.told
	w.stdin.Write([]byte{byte(number)}) // fails if the child has ended
}

// wait follows the events of the child until it ends.
func (w *watch) wait(ctx context.Context) (code int, err error) {
	defer closeAll([]*os.File{w.stdin, w.events})
	events := make(chan event)
	go func() {
		defer close(events)
		for lines := bufio.NewScanner(w.events); lines.Scan(); {
			var e event
			if _, err := fmt.Sscan(lines.Text(), &e.phase, &e.id, &e.begins); err == nil {
				events <- e
			}
		}
	}()
	d := &Death{}
	finished, open := false, map[int]phase{}
	late := make(chan phase, 1)
	type watched struct {
		timer *time.Timer
		since time.Time
	}
	timers := map[int]watched{}
	exceeds := func(p phase) {
		if d.Limit == 0 {
			d.During, d.Limit = p, w.Limits.of(p)
			w.process.Process.Kill()
		}
	}
	for running := true; running; {
		select {
		case e, more := <-events:
			running = more
			switch limit := w.Limits.of(e.phase); {
			case !more:
			case e.phase == ended:
				finished = true
			case e.begins:
				open[e.id], d.During = e.phase, e.phase
				if limit > 0 {
					timers[e.id] = watched{time.AfterFunc(limit, func() {
						select {
						case late <- e.phase:
						default:
						}
					}), time.Now()}
				}
			default:
				delete(open, e.id)
				if t, ok := timers[e.id]; ok {
					t.timer.Stop()
					delete(timers, e.id)
					if time.Since(t.since) > limit { // the end of a phase can overtake its timer
						exceeds(e.phase)
					}
				}
			}
		case p := <-late:
			exceeds(p)
		}
	}
	for _, t := range timers {
		t.timer.Stop()
	}
	failed := w.process.Wait()
	<-w.copied
	switch {
	case finished && d.Limit == 0:
		if w.process.ProcessState.Exited() {
			_, err := w.Stdout.Write(w.stdout.Bytes())
			return w.process.ProcessState.ExitCode(), err
		}
	case ctx.Err() != nil:
		return 0, context.Cause(ctx)
	}
	if len(open) == 0 && d.Limit == 0 {
		d.During = ""
	}
	d.explain(w.crash.String(), failed)
	return 0, d
}

// event is a line that a child writes.
type event struct {
	phase  phase
	id     int
	begins bool
}

// head keeps the beginning of what is written to it.
type head struct{ strings.Builder }

const mostHead = 16 << 10

func (h *head) Write(p []byte) (int, error) {
	h.Builder.Write(p[:min(len(p), mostHead-h.Len())])
	return len(p), nil
}
