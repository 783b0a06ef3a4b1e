package eval

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/onnx-inject/onnx-inject/graph/base/hint"
	"github.com/onnx-inject/onnx-inject/runtime/study/results"
)

// ParseShard reads "i/N": part i of N parts. The caller may count parts from 0 or from 1: N/N is the same part as 0/N, so
// both ways of counting cover every part once.
//
// "auto" reads the variables of the job manager through getenv: Slurm's array jobs (SLURM_ARRAY_TASK_ID, _MIN and _COUNT)
// or Kubernetes' indexed jobs (JOB_COMPLETION_INDEX, and JOB_COMPLETIONS, which the job's author must set).
func ParseShard(s string, getenv func(string) string) (results.Shard, error) {
	if s == "auto" {
		return shardOfJob(getenv)
	}
	index, of, ok := strings.Cut(s, "/")
	i, err1 := strconv.ParseUint(index, 10, 31)
	n, err2 := strconv.ParseUint(of, 10, 31)
	if !ok || err1 != nil || err2 != nil || n == 0 || i > n {
		return results.Shard{}, fmt.Errorf("shard %q, want i/N with i from 0 to N, such as 2/8, or auto", s)
	}
	return results.Shard{Index: int(i % n), Of: int(n)}, nil
}

func shardOfJob(getenv func(string) string) (results.Shard, error) {
	read := func(names ...string) (out []int, err error) {
		for _, name := range names {
			n, err := strconv.Atoi(getenv(name))
			if err != nil {
				return nil, fmt.Errorf("shard auto: %s is %q, want a number", name, getenv(name))
			}
			out = append(out, n)
		}
		return out, nil
	}
	var shard results.Shard
	switch {
	case getenv("SLURM_ARRAY_TASK_ID") != "":
		n, err := read("SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_MIN", "SLURM_ARRAY_TASK_COUNT")
		if err != nil {
			return shard, err
		}
		shard = results.Shard{Index: n[0] - n[1], Of: n[2]}
	case getenv("JOB_COMPLETION_INDEX") != "":
		n, err := read("JOB_COMPLETION_INDEX", "JOB_COMPLETIONS")
		if err != nil {
			return shard, err
		}
		shard = results.Shard{Index: n[0], Of: n[1]}
	default:
		return shard, hint.With(fmt.Errorf("shard auto: this is neither a Slurm array job nor a Kubernetes indexed job"), "give --shard i/N")
	}
	if shard.Of < 1 || shard.Index < 0 || shard.Index >= shard.Of {
		return shard, hint.With(fmt.Errorf("shard auto: part %d of %d", shard.Index, shard.Of), "number the tasks of the array without gaps")
	}
	return shard, nil
}
