package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	goruntime "runtime"
	"strings"
	"time"
)

// sample is one measured run.
type sample struct {
	wall time.Duration
	cpu  time.Duration // user and system time, which a busy machine affects less; 0 when not measured
	peak int64         // maximum resident bytes, 0 when the system does not report it
}

// side is one of the things to compare.
type side struct {
	name    string
	prepare func() error // not timed; may be nil
	run     func() (sample, error)
}

// compare runs the sides in turn, A B B A, until each has run rounds times or more, and returns the best times and the
// highest memory of each.
func compare(rounds int, sides ...side) ([]sample, error) {
	best := make([]sample, len(sides))
	one := func(i int) error {
		s := sides[i]
		if s.prepare != nil {
			if err := s.prepare(); err != nil {
				return fmt.Errorf("prepare %s: %w", s.name, err)
			}
		}
		got, err := s.run()
		if err != nil {
			return fmt.Errorf("measure %s: %w", s.name, err)
		}
		if best[i].wall == 0 || got.wall < best[i].wall {
			best[i].wall = got.wall
		}
		if best[i].cpu == 0 || got.cpu < best[i].cpu {
			best[i].cpu = got.cpu
		}
		best[i].peak = max(best[i].peak, got.peak)
		return nil
	}
	for done := 0; done < rounds; done += 2 {
		for i := range sides {
			if err := one(i); err != nil {
				return nil, err
			}
		}
		for i := len(sides) - 1; i >= 0; i-- {
			if err := one(i); err != nil {
				return nil, err
			}
		}
	}
	return best, nil
}

func ratio(a, b sample) float64 { return float64(a.wall) / float64(b.wall) }

// process runs a command to its end and measures the whole process; out is its standard output.
func process(ctx context.Context, name string, args ...string) (s sample, out []byte, err error) {
	return measured(exec.CommandContext(ctx, name, args...))
}

// measured is [process] for a command that is already set up.
func measured(cmd *exec.Cmd) (s sample, out []byte, err error) {
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	start := time.Now()
	err = cmd.Run()
	s.wall = time.Since(start)
	if err != nil {
		return s, nil, fmt.Errorf("run %s %s: %w: %s", filepath.Base(cmd.Path), strings.Join(cmd.Args[1:], " "), err, strings.TrimSpace(stderr.String()))
	}
	s.cpu = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	s.peak = peak(cmd.ProcessState)
	return s, stdout.Bytes(), nil
}

// copyFile is the yardstick: cp, with a real copy even when the file system could share the blocks.
func copyFile(ctx context.Context, from, to string) (sample, error) {
	args := []string{from, to}
	if goruntime.GOOS == "linux" {
		args = append([]string{"--reflink=never"}, args...)
	}
	s, _, err := process(ctx, "cp", args...)
	return s, err
}

// clear removes path and every file whose name starts with it.
func clear(path string) error {
	found, err := filepath.Glob(path + "*")
	if err != nil {
		return err
	}
	for _, f := range found {
		if err := os.RemoveAll(f); err != nil {
			return err
		}
	}
	return nil
}

// load is the machine's load over the last minute.
func load() string {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	return strings.Fields(string(b))[0]
}
