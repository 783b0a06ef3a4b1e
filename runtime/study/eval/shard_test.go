package eval

import (
	"strings"
	"testing"

	"github.com/onnx-inject/onnx-inject/runtime/study/results"
)

func TestParseShard(t *testing.T) {
	tests := []struct {
		s    string
		env  map[string]string
		want results.Shard
		err  string
	}{
		{s: "0/4", want: results.Shard{Index: 0, Of: 4}},
		{s: "3/4", want: results.Shard{Index: 3, Of: 4}},
		{s: "4/4", want: results.Shard{Index: 0, Of: 4}},
		{s: "1/1", want: results.Shard{Index: 0, Of: 1}},
		{s: "5/4", err: `shard "5/4", want i/N`},
		{s: "1/0", err: "want i/N"},
		{s: "-1/4", err: "want i/N"},
		{s: "2", err: "want i/N"},
		{s: "auto", err: "this is neither a Slurm array job nor a Kubernetes indexed job"},
		{s: "auto", env: map[string]string{"SLURM_ARRAY_TASK_ID": "7", "SLURM_ARRAY_TASK_MIN": "5", "SLURM_ARRAY_TASK_COUNT": "4"}, want: results.Shard{Index: 2, Of: 4}},
		{s: "auto", env: map[string]string{"SLURM_ARRAY_TASK_ID": "9", "SLURM_ARRAY_TASK_MIN": "1", "SLURM_ARRAY_TASK_COUNT": "5"}, err: "part 8 of 5"},
		{s: "auto", env: map[string]string{"JOB_COMPLETION_INDEX": "3", "JOB_COMPLETIONS": "8"}, want: results.Shard{Index: 3, Of: 8}},
		{s: "auto", env: map[string]string{"JOB_COMPLETION_INDEX": "3"}, err: `JOB_COMPLETIONS is "", want a number`},
	}
	for _, tt := range tests {
		got, err := ParseShard(tt.s, func(name string) string { return tt.env[name] })
		if tt.err != "" {
			if err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%s %v: got %v, want %q", tt.s, tt.env, err, tt.err)
			}
		} else if err != nil || got != tt.want {
			t.Errorf("%s %v: got %v, %v", tt.s, tt.env, got, err)
		}
	}
}
