//go:build unix

package isolate

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/runtime"
)

// TestMain makes the test binary the program that is isolated: as a child, it does what its second argument says.
func TestMain(m *testing.M) {
	c, err := Enter()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if c == nil {
		os.Exit(m.Run())
	}
	code := lives[os.Args[1]](c)
	c.End()
	os.Exit(code)
}

// lives are the ways in which a child lives and ends.
var lives = map[string]func(c *Child) int{
	"good": func(c *Child) int {
		fmt.Println("result")
		fmt.Fprintln(c.Stderr, "message", c.Colour)
		return 4
	},
	"input": func(c *Child) int {
		fmt.Println(len(c.Input), strings.Count(c.Input, "text\x00"), (<-c.Signals).(syscall.Signal) == syscall.SIGTERM)
		return 0
	},
	"model": func(c *Child) int { // a host without faults
		s, err := c.Watch(host{}).Open(context.Background(), runtime.Model{}, runtime.Options{})
		if err != nil {
			return 1
		}
		out, err := s.Run(context.Background(), nil)
		fmt.Println(len(out), err)
		return 0
	},
	"load error": func(c *Child) int {
		_, err := c.Watch(host{open: func() error { return errors.New("no model") }}).Open(context.Background(), runtime.Model{}, runtime.Options{})
		fmt.Println(err)
		return 3
	},
	"endless load": opens(func() error { select {} }),
	"endless run":  runs(func() { time.Sleep(time.Hour) }),
	"abort in load": opens(func() error {
		fmt.Println("half a res")
		fmt.Fprintln(os.Stderr, "terminate called after throwing an instance of 'std::runtime_error'")
		syscall.Kill(os.Getpid(), syscall.SIGABRT)
		select {}
	}),
	"segmentation fault in run": runs(func() { syscall.Kill(os.Getpid(), syscall.SIGSEGV); select {} }),
	"no memory in C++": opens(func() error {
		fmt.Fprintln(os.Stderr, "terminate called after throwing an instance of 'std::bad_alloc'\n  what():  std::bad_alloc")
		syscall.Kill(os.Getpid(), syscall.SIGABRT)
		select {}
	}),
	"no memory in Go": func(c *Child) int {
		fmt.Println(len(make([]byte, 1<<40)))
		return 0
	},
	"killed":     opens(func() error { syscall.Kill(os.Getpid(), syscall.SIGKILL); select {} }),
	"silent end": opens(func() error { os.Exit(0); return nil }),
	"stubborn": func(c *Child) int {
		fmt.Fprintln(c.Stderr, "ready")
		s := <-c.Signals
		fmt.Fprintln(c.Stderr, s)
		return 99
	},
	"address space": func(c *Child) int { fmt.Println(AddressSpace()); return 0 },
}

func opens(f func() error) func(*Child) int {
	return func(c *Child) int {
		c.Watch(host{open: f}).Open(context.Background(), runtime.Model{}, runtime.Options{})
		return 0
	}
}

func runs(f func()) func(*Child) int {
	return func(c *Child) int {
		s, err := c.Watch(host{run: f}).Open(context.Background(), runtime.Model{}, runtime.Options{})
		if err == nil {
			s.Run(context.Background(), nil)
		}
		return 0
	}
}

// host is a host that does what a test needs.
type host struct {
	open func() error
	run  func()
}

func (h host) Name() string { return "test" }

func (h host) Open(context.Context, runtime.Model, runtime.Options) (runtime.Session, error) {
	if h.open != nil {
		if err := h.open(); err != nil {
			return nil, err
		}
	}
	return session{run: h.run}, nil
}

type session struct {
	runtime.Session
	run func()
}

func (s session) Run(context.Context, map[string]*graph.Tensor, ...string) (map[string]*graph.Tensor, error) {
	if s.run != nil {
		s.run()
	}
	return nil, nil
}

func TestCommand(t *testing.T) {
	short := 300 * time.Millisecond
	tests := []struct {
		life   string
		limits Limits
		code   int
		stdout string
		err    string
		memory bool
	}{
		{life: "good", code: 4, stdout: "result\n"},
		{life: "model", limits: Limits{Load: time.Minute, Run: time.Minute}, stdout: "0 <nil>\n"},
		{life: "load error", code: 3, stdout: "no model\n"},
		{life: "endless load", limits: Limits{Load: short, Run: time.Hour}, err: "the model did not load within 300ms: its process was stopped"},
		{life: "endless run", limits: Limits{Load: time.Hour, Run: short}, err: "a run of the model did not end within 300ms: its process was stopped"},
		{life: "abort in load", err: "the process crashed while it loaded the model: terminate called after throwing an instance of 'std::runtime_error' (SIGABRT: abort)"},
		{life: "segmentation fault in run", err: "the process crashed while it ran the model: SIGSEGV: segmentation violation"},
		{life: "no memory in C++", err: "out of memory: the process crashed while it loaded the model: terminate called after throwing an instance of 'std::bad_alloc' (SIGABRT: abort)", memory: true},
		{life: "no memory in Go", limits: Limits{Memory: 4 << 30}, err: "out of memory: the process crashed outside of the model: ", memory: LimitsMemory},
		{life: "killed", err: "out of memory: the process crashed while it loaded the model: it was killed, as the system does when memory runs out", memory: true},
		{life: "silent end", err: "the process crashed while it loaded the model: it ended without a result"},
	}
	for _, tt := range tests {
		t.Run(tt.life, func(t *testing.T) {
			if tt.limits.Memory > 0 && !LimitsMemory {
				t.Skip("this system does not limit memory")
			}
			t.Parallel()
			var out, errs bytes.Buffer
			code, err := Command{Args: []string{"test", tt.life}, Limits: tt.limits, Stdout: &out, Stderr: &errs}.Run(t.Context())
			if tt.err == "" {
				if err != nil || code != tt.code || out.String() != tt.stdout {
					t.Errorf("exit code %d, %q, %v", code, &out, err)
				}
				return
			}
			var d *Death
			if !errors.As(err, &d) || !strings.HasPrefix(err.Error(), tt.err) || strings.Contains(err.Error(), "\n") {
				t.Fatalf("got %v, want %s", err, tt.err)
			}
			if errors.Is(err, runtime.ErrMemory) != tt.memory {
				t.Errorf("memory %v: %v", d.Memory, err)
			}
			if out.Len() > 0 {
				t.Errorf("a crash left %q on standard output", &out)
			}
		})
	}
}

// Messages reach the parent's standard error, and a terminal stays one: the child gets the file itself.
func TestMessages(t *testing.T) {
	var out, errs bytes.Buffer
	c := Command{Args: []string{"test", "good"}, Colour: true, Stdout: &out, Stderr: &errs}
	if _, err := c.Run(t.Context()); err != nil || errs.String() != "message true\n" {
		t.Errorf("%q, %v", &errs, err)
	}
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	c.Stderr = f
	if _, err := c.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if b, _ := os.ReadFile(f.Name()); string(b) != "message true\n" {
		t.Errorf("%q", b)
	}
}

type caught struct{ s syscall.Signal }

func (c caught) Error() string     { return "caught" }
func (c caught) Signal() os.Signal { return c.s }

// A signal of the parent reaches the child, which chooses its exit code.
func TestSignal(t *testing.T) {
	for _, tt := range []struct {
		cause error
		want  string
	}{{caught{syscall.SIGINT}, "interrupt"}, {caught{syscall.SIGTERM}, "terminated"}, {errors.New("another"), "terminated"}} {
		ctx, cancel := context.WithCancelCause(t.Context())
		errs := &signalled{stop: func() { cancel(tt.cause) }}
		code, err := Command{Args: []string{"test", "stubborn"}, Stdout: &bytes.Buffer{}, Stderr: errs}.Run(ctx)
		if code != 99 || err != nil || errs.all.String() != "ready\n"+tt.want+"\n" {
			t.Errorf("exit code %d, %v, %q", code, err, &errs.all)
		}
	}
}

// signalled calls stop after the first write.
type signalled struct {
	all  bytes.Buffer
	stop func()
}

func (s *signalled) Write(p []byte) (int, error) {
	defer s.stop()
	return s.all.Write(p)
}

// A child gets a text that is longer than an environment variable or a pipe may be, and then the signals.
func TestInput(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out bytes.Buffer
	text := strings.Repeat("text\x00", 1<<18)
	code, err := Command{Args: []string{"test", "input"}, Input: text, Stdout: &out, Stderr: os.Stderr}.Run(ctx)
	if want := fmt.Sprintln(len(text), 1<<18, true); err != nil || code != 0 || out.String() != want {
		t.Errorf("%q, code %d (%v), want %q", out.String(), code, err, want)
	}
}

// A child that dies after the context has ended reports the context's cause.
func TestCauseOfContext(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(caught{syscall.SIGINT})
	_, err := Command{Args: []string{"test", "silent end"}, Stdout: &bytes.Buffer{}, Stderr: &bytes.Buffer{}}.Run(ctx)
	if !errors.As(err, new(caught)) {
		t.Errorf("got %v", err)
	}
}

func TestAddressSpace(t *testing.T) {
	if !LimitsMemory {
		t.Skip("this system does not limit memory")
	}
	var out bytes.Buffer
	if _, err := (Command{Args: []string{"test", "address space"}, Limits: Limits{Memory: 5 << 30}, Stdout: &out, Stderr: os.Stderr}).Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if out.String() != fmt.Sprintln(5<<30) && AddressSpace() == 0 {
		t.Errorf("the child's address space is limited to %s", &out)
	}
	if m := PhysicalMemory(); m < 64<<20 || m > 1<<50 {
		t.Errorf("this machine has %d bytes of memory", m)
	}
}

func TestOutputThatCannotBeWritten(t *testing.T) {
	want := errors.New("full")
	if _, err := (Command{Args: []string{"test", "good"}, Stdout: failing{want}, Stderr: &bytes.Buffer{}}).Run(t.Context()); err != want {
		t.Errorf("got %v", err)
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

// What a child prints when it crashes is shortened to one line.
func TestExplain(t *testing.T) {
	d := &Death{}
	d.explain("\n  "+strings.Repeat("é", 200)+"\nmore\nSIGBUS: bus error\n", nil)
	if !strings.HasSuffix(d.Words, "é… (SIGBUS: bus error)") || len(d.Words) > 240 || strings.Contains(d.Words, "\n") {
		t.Errorf("%q", d.Words)
	}
	h := &head{}
	for range 3 {
		if n, err := h.Write(make([]byte, mostHead)); n != mostHead || err != nil {
			t.Error(n, err)
		}
	}
	if h.Len() != mostHead {
		t.Errorf("%d bytes are kept", h.Len())
	}
}
