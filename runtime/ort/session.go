//go:build cgo

package ort

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"sync"

	binding "github.com/yalue/onnxruntime_go"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/runtime"
)

// session is a loaded model. Run holds the lock for reading, Close for writing.
type session struct {
	name    string
	mu      sync.RWMutex
	s       *binding.DynamicAdvancedSession // nil once closed
	run     *runner
	in, out []runtime.Port
}

// open loads a model into a session. The library must be loaded.
func open(ctx context.Context, m runtime.Model, o runtime.Options) (runtime.Session, error) {
	if err := readable(m); err != nil {
		return nil, err
	}
	opts, err := sessionOptions(m, o)
	if err != nil {
		return nil, err
	}
	type result struct {
		s   *session
		err error
	}
	loaded := make(chan result, 1)
	go func() {
		defer opts.Destroy()
		s, err := create(m, opts)
		loaded <- result{s, err}
	}()
	select {
	case r := <-loaded:
		if r.err != nil {
			return nil, r.err
		}
		return r.s, nil
	case <-ctx.Done():
		go func() {
			if r := <-loaded; r.s != nil {
				r.s.Close()
			}
		}()
		return nil, ctx.Err()
	}
}

// levels maps our levels to those of ONNX Runtime.
var levels = map[runtime.Level]binding.GraphOptimizationLevel{
	runtime.Optimized:  binding.GraphOptimizationLevelEnableAll,
	runtime.Basic:      binding.GraphOptimizationLevelEnableBasic,
	runtime.Unmodified: binding.GraphOptimizationLevelDisableAll,
}

func sessionOptions(m runtime.Model, o runtime.Options) (*binding.SessionOptions, error) {
	level, ok := levels[o.Level]
	if !ok {
		return nil, fmt.Errorf("optimisation level %d: unknown", o.Level)
	}
	if err := CheckThreads(o.Threads); err != nil {
		return nil, fmt.Errorf("threads: %w", err)
	}
	threads := o.Threads
	if threads == 0 {
		threads = cores()
	}
	opts, err := binding.NewSessionOptions()
	if err != nil {
		return nil, err
	}
	err = errors.Join(opts.SetIntraOpNumThreads(threads), opts.SetInterOpNumThreads(1), opts.SetGraphOptimizationLevel(level),
		opts.SetMemPattern(false), // a pattern plans one block for each prompt length, and the next length cannot use it
		opts.SetLogSeverityLevel(binding.LoggingLevelFatal),
		opts.AddSessionConfigEntry("session.x64quantprecision", "1")) // 8-bit products do not saturate on processors without VNNI
	if err == nil && o.Yield {
		err = opts.AddSessionConfigEntry("session.intra_op.allow_spinning", "0")
	}
	if err == nil && m.Bytes != nil && m.Dir != "" {
		err = opts.AddSessionConfigEntry("session.model_external_initializers_file_folder_path", m.Dir)
	}
	if err == nil && o.Device.CUDA {
		err = keepSignals(func() error { return useCUDA(opts, o.Device.Index) })
	}
	if err != nil {
		opts.Destroy()
		return nil, err
	}
	return opts, nil
}

func create(m runtime.Model, opts *binding.SessionOptions) (*session, error) {
	var b *binding.DynamicAdvancedSession
	err := keepSignals(func() (err error) {
		if m.Bytes != nil {
			b, err = binding.NewDynamicAdvancedSessionWithONNXData(m.Bytes, nil, nil, opts)
		} else {
			b, err = binding.NewDynamicAdvancedSession(m.Path, nil, nil, opts)
		}
		return err
	})
	if err != nil {
		for errors.Unwrap(err) != nil { // drop the binding's text about its own C calls
			err = errors.Unwrap(err)
		}
		return nil, cause(err.Error())
	}
	s := &session{name: m.String(), s: b}
	if s.run, s.in, s.out, err = newRunner(b); err != nil {
		return nil, errors.Join(err, b.Destroy())
	}
	return s, nil
}

// readable returns short errors for files that cannot be a model; ONNX Runtime's own errors are longer.
func readable(m runtime.Model) error {
	if m.Bytes != nil {
		if len(m.Bytes) == 0 {
			return errors.New("the model is empty")
		}
		return nil
	}
	st, err := os.Stat(m.Path)
	switch p := (*fs.PathError)(nil); {
	case errors.As(err, &p):
		return p.Err
	case err != nil:
		return err
	case st.IsDir():
		return errors.New("is a folder")
	case st.Size() == 0:
		return errors.New("the file is empty")
	}
	return nil
}

func (s *session) Inputs() []runtime.Port  { return s.in }
func (s *session) Outputs() []runtime.Port { return s.out }

// Run checks the feed, then runs the model. Several runs may be in progress at once.
func (s *session) Run(ctx context.Context, in map[string]*graph.Tensor, want ...string) (map[string]*graph.Tensor, error) {
	if len(want) == 0 {
		for _, p := range s.out {
			want = append(want, p.Name)
		}
	}
	res, err := s.Step(ctx, runtime.Step{In: in, Want: want})
	if err != nil {
		return nil, err
	}
	return res.Out, nil
}

// Step checks the inputs, then runs the model. Values that stay on the host are in CPU memory, also with CUDA: ONNX Runtime
// copies them to the device and back in each run.
func (s *session) Step(ctx context.Context, step runtime.Step) (*runtime.Result, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.s == nil {
		return nil, fmt.Errorf("run %q: the session is closed", s.name)
	}
	outs, err := runtime.CheckStep(s.in, s.out, step)
	if err != nil {
		return nil, fmt.Errorf("run %q: %w", s.name, err)
	}
	res, err := s.run.do(ctx, s.in, step, outs)
	if err != nil {
		if ctx.Err() != nil { // ONNX Runtime reports a "terminate flag"; return the caller's context error instead
			err = ctx.Err()
		}
		return nil, fmt.Errorf("run %q: %w", s.name, err)
	}
	return res, nil
}

// Hold copies a tensor into memory of ONNX Runtime.
func (s *session) Hold(t *graph.Tensor) (runtime.Value, error) {
	h, err := hold(t)
	if err != nil {
		return nil, fmt.Errorf("hold a tensor %v%v: %w", t.DType, t.Dims, err)
	}
	return h, nil
}

// Close waits for the runs in progress.
func (s *session) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.s == nil {
		return nil
	}
	b := s.s
	s.s = nil
	s.run.free()
	if err := b.Destroy(); err != nil {
		return fmt.Errorf("close %q: %w", s.name, err)
	}
	return nil
}

// useCUDA adds the CUDA provider. It checks for missing files before it calls ONNX Runtime, because ONNX Runtime's error
// names neither the file nor the library.
func useCUDA(opts *binding.SessionOptions, device int) error {
	if err := checkCUDA(); err != nil {
		return err
	}
	c, err := binding.NewCUDAProviderOptions()
	if err != nil {
		return err
	}
	defer c.Destroy()
	// TF32 rounds the factors of a product to 10 bits: results would differ from the CPU's results in the third digit.
	if err := c.Update(map[string]string{"device_id": strconv.Itoa(device), "use_tf32": "0"}); err != nil {
		return err
	}
	return opts.AppendExecutionProviderCUDA(c)
}
