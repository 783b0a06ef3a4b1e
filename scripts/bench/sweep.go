package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"github.com/onnx-inject/onnx-inject/runtime/study/results"
)

// sweep is the whole evaluation, 106 prompts x 12 layers x 15 taus, run once for all goals that use it.
type sweep struct {
	sample
	evaluated
	peak  float64 // operations per second of the yardstick, the best before and after
	cells []byte  // cells.csv
}

// yardRounds is the number of runs of the yardstick at each end of the sweep, 30 ms each.
const yardRounds = 40

func (b *bench) sweep(ctx context.Context) (*sweep, error) {
	if b.swept != nil {
		return b.swept, nil
	}
	folder, data, err := b.whole(ctx)
	if err != nil {
		return nil, err
	}
	out := b.out("sweep")
	defer clear(b.out(""))
	s := &sweep{}
	yard := func() error {
		var got float64
		_, err := b.run(ctx, &got, "matmul", strconv.Itoa(yardRounds), strconv.Itoa(b.threads))
		s.peak = max(s.peak, got)
		return err
	}
	if err := yard(); err != nil {
		return nil, err
	}
	if err := clear(out); err != nil {
		return nil, err
	}
	if s.sample, s.evaluated, err = b.evaluate(ctx, folder, data, out, "fanout"); err != nil {
		return nil, err
	}
	if err := yard(); err != nil {
		return nil, err
	}
	if err := sameLengths(ctx, out, lengths); err != nil {
		return nil, err
	}
	if s.cells, err = os.ReadFile(filepath.Join(out, results.CellsFile)); err != nil {
		return nil, err
	}
	b.swept = s
	return s, nil
}

// whole returns the model and the data of the sweep.
func (b *bench) whole(ctx context.Context) (folder, data string, err error) {
	if folder, err = b.exported(ctx, gpt2Small); err != nil {
		return "", "", err
	}
	data, err = b.data("prompts.csv", lengths)
	return folder, data, err
}

// sweepRate measures P10: the rate of the whole sweep relative to the yardstick.
func sweepRate(ctx context.Context, b *bench) ([]row, error) {
	s, err := b.sweep(ctx)
	if err != nil {
		return nil, err
	}
	rate := over(lengths, smallGrid.done) / s.Seconds.Run
	return []row{{id: "P10", what: "sweep / one MatMul in ONNX Runtime, operations per second", value: rate / s.peak, goal: 0.7, atLeast: true,
		note: fmt.Sprintf("%.0f / %.0f GFLOP/s; %.1f s, %.2f ms per cell", rate/1e9, s.peak/1e9, s.Seconds.Run, 1e3*s.Seconds.Run/float64(s.Cells))}}, nil
}

// sweepOverhead measures P11: the time outside loading and running the model.
func sweepOverhead(ctx context.Context, b *bench) ([]row, error) {
	s, err := b.sweep(ctx)
	if err != nil {
		return nil, err
	}
	wall := s.wall.Seconds()
	return []row{{id: "P11", what: "sweep outside of loading and ONNX Runtime / sweep", value: (wall - s.Seconds.Load - s.Seconds.Run) / wall, goal: 0.01,
		note: fmt.Sprintf("%.2f s = %.2f load + %.2f run + %.3f", wall, s.Seconds.Load, s.Seconds.Run, wall-s.Seconds.Load-s.Seconds.Run)}}, nil
}

// sweepLimit measures P12: the whole process, relative to the least possible work at the yardstick's rate.
func sweepLimit(ctx context.Context, b *bench) ([]row, error) {
	s, err := b.sweep(ctx)
	if err != nil {
		return nil, err
	}
	limit := over(lengths, smallGrid.least) / s.peak
	return []row{{id: "P12", what: "sweep / least work at the rate of one MatMul", value: s.wall.Seconds() / limit, goal: 1.45,
		note: fmt.Sprintf("%.1f s / %.1f s (%.1f TFLOP), start and loading included", s.wall.Seconds(), limit, over(lengths, smallGrid.least)/1e12)}}, nil
}

// sweepMemory measures P16: the weights once, plus a quarter for ONNX Runtime's own copies, in addition to the widest activation
// of the longest prompt, which has rows x tokens x 4 d_model numbers.
func sweepMemory(ctx context.Context, b *bench) ([]row, error) {
	s, err := b.sweep(ctx)
	if err != nil {
		return nil, err
	}
	folder, _, err := b.whole(ctx)
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(filepath.Join(folder, "model.onnx"))
	if err != nil {
		return nil, err
	}
	var longest int64
	for _, t := range lengths {
		longest = max(longest, int64(t))
	}
	weights, activation := info.Size(), 4*longest*(1+smallGrid.cells())*4*smallGrid.width
	return []row{{id: "P16", what: "(peak memory of the sweep - activation) / weights", value: float64(s.sample.peak-activation) / float64(weights), goal: 1.25,
		note: fmt.Sprintf("(%.0f - %.0f MB) / %.0f MB", megabytes(s.sample.peak), megabytes(activation), megabytes(weights))}}, nil
}

// interrupted measures P14: a sweep that is killed in the middle and restarted repeats only the interrupted prompt and ends with
// the same bytes. The cost is the discarded work and the second start, both measured in the two halves themselves. Two sweeps of
// several minutes differ by more than that cost, as the note shows.
func interrupted(ctx context.Context, b *bench) ([]row, error) {
	s, err := b.sweep(ctx)
	if err != nil {
		return nil, err
	}
	folder, data, err := b.whole(ctx)
	if err != nil {
		return nil, err
	}
	defer clear(b.out("killed"))
	got, err := b.broken(ctx, folder, data, b.out("killed"), s.cells)
	if err != nil {
		return nil, err
	}
	all := got.killed.wall + got.resumed.wall
	return []row{{id: "P14", what: "sweep killed once and resumed / without the cost of that", value: all.Seconds() / (all - got.lost - got.load).Seconds(), goal: 1.02,
		note: fmt.Sprintf("%s + %s, of which %s discarded, %s second start; same cells.csv; the uninterrupted sweep took %s",
			seconds(got.killed.wall), seconds(got.resumed.wall), seconds(got.lost), seconds(got.load), seconds(s.sample.wall))}}, nil
}

// broken is a sweep in two parts.
type broken struct {
	killed, resumed sample
	lost            time.Duration // from the last prompt that was written to the kill
	load            time.Duration // of the second start
}

// broken runs the sweep, kills it in the middle, resumes it, and requires the cells of an uninterrupted sweep.
func (b *bench) broken(ctx context.Context, folder, data, out string, want []byte) (broken, error) {
	var got broken
	if err := clear(out); err != nil {
		return got, err
	}
	var err error
	if got.killed, got.lost, err = b.killedAt(ctx, filepath.Join(out, results.PromptsFile), len(lengths)/2, b.evalArgs(folder, data, out, "fanout")...); err != nil {
		return got, err
	}
	var e evaluated
	if got.resumed, e, err = b.evaluate(ctx, folder, data, out, "fanout"); err != nil {
		return got, err
	}
	got.load = time.Duration(e.Seconds.Load * float64(time.Second))
	if e.Resumed != len(lengths)/2 {
		return got, fmt.Errorf("%d prompts were resumed, want %d", e.Resumed, len(lengths)/2)
	}
	cells, err := os.ReadFile(filepath.Join(out, results.CellsFile))
	if err == nil && !bytes.Equal(cells, want) {
		err = fmt.Errorf("cells.csv of the interrupted sweep differs from that of the uninterrupted one")
	}
	return got, err
}

// killedAt runs the program and kills it without a chance to clean up, during the prompt after the n-th. It returns the time
// since the last prompt was written.
func (b *bench) killedAt(ctx context.Context, prompts string, n int, args ...string) (sample, time.Duration, error) {
	var stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, b.binary, args...)
	cmd.Stderr = &stderr
	start := time.Now()
	if err := cmd.Start(); err != nil {
		return sample{}, 0, err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for {
		select {
		case err := <-ended:
			return sample{}, 0, fmt.Errorf("eval ended before it was killed: %v: %s", err, stderr.Bytes())
		case <-time.After(100 * time.Millisecond): // both cores are busy
		}
		if rows, _ := os.ReadFile(prompts); bytes.Count(rows, []byte("\n")) > n { // there is a header
			break
		}
	}
	time.Sleep(time.Since(start) / time.Duration(2*n)) // half a prompt
	if err := cmd.Process.Kill(); err != nil {
		return sample{}, 0, err
	}
	<-ended
	end := time.Now()
	written, err := os.Stat(prompts)
	if err != nil {
		return sample{}, 0, err
	}
	return sample{end.Sub(start), cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), peak(cmd.ProcessState)}, end.Sub(written.ModTime()), nil
}
