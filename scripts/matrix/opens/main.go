// Command opens shows which files the reading commands open: row B01 as the kernel sees it. It gives models whose weights are at
// places outside their folder to inspect, rewrite and encode under strace, and compares the paths that are opened with those of a
// model whose weights are in the folder. No other path may appear. Run it from the root of the repository:
//
//	go run ./scripts/matrix/opens -binary bin/onnx-inject     # needs Linux and strace
//
// First it shows that the check can fail: a program that does read such a file is found.
package main

import (
	"bytes"
	"cmp"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("opens: ")
	binary := flag.String("binary", "bin/onnx-inject", "the program")
	flag.Parse()
	program, err := filepath.Abs(*binary)
	if err == nil {
		err = check(program)
	}
	if err != nil {
		log.Fatal(err)
	}
}

// opened finds the path and the result of a call that opens a file.
var opened = regexp.MustCompile(`(?m)^(?:\[pid +\d+\] |\d+ +)?(?:open|openat|openat2|creat)\((?:(?:AT_FDCWD|\d+)(?:<([^>]*)>)?, )?"((?:[^"\\]|\\.)*)"`)

// trace runs a command in a folder and returns every path that it, or a process that it starts, tries to open.
func trace(dir string, args ...string) (paths map[string]bool, err error) {
	record := filepath.Join(dir, "trace")
	defer os.Remove(record)
	// -y shows the path of a descriptor that a name is relative to.
	cmd := exec.Command("strace", append([]string{"-f", "-y", "-s", "4096", "-e", "trace=open,openat,openat2,creat", "-o", record}, args...)...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		return nil, fmt.Errorf("run strace: %w", err)
	}
	data, err := os.ReadFile(record)
	if err != nil {
		return nil, fmt.Errorf("want a record of strace, got none: %w\n%s", err, out)
	}
	paths = map[string]bool{}
	for _, m := range opened.FindAllStringSubmatch(string(data), -1) {
		path := m[2]
		if !filepath.IsAbs(path) {
			path = filepath.Join(cmp.Or(m[1], dir), path)
		}
		paths[path] = true
	}
	if len(paths) == 0 {
		return nil, fmt.Errorf("want calls that open files, got none\n%s", bytes.TrimSpace(data))
	}
	return paths, nil
}

// locations are places outside the folder of the model. Each exists, so that a careless reader would open it.
func locations(outside string) []string {
	return []string{"../x", "a/../../x", outside + "/x", "/etc/passwd", "/dev/zero", "/proc/self/environ", "link", "folder/x", "*/_ORT_MEM_ADDR_/*"}
}

func check(program string) error {
	root, err := os.MkdirTemp("", "opens")
	if err != nil {
		return err
	}
	defer os.RemoveAll(root)
	if root, err = filepath.EvalSymlinks(root); err != nil {
		return err
	}
	folder, elsewhere := filepath.Join(root, "model"), filepath.Join(root, "elsewhere")
	bytes := make([]byte, 64)
	for _, step := range []error{
		os.MkdirAll(filepath.Join(folder, "a"), 0o755), os.MkdirAll(elsewhere, 0o755),
		os.WriteFile(filepath.Join(root, "x"), bytes, 0o644), os.WriteFile(filepath.Join(elsewhere, "x"), bytes, 0o644),
		os.WriteFile(filepath.Join(folder, "w.bin"), bytes, 0o644),
		os.Symlink(filepath.Join(elsewhere, "x"), filepath.Join(folder, "link")), os.Symlink(elsewhere, filepath.Join(folder, "folder")),
	} {
		if step != nil {
			return step
		}
	}
	forbidden := []string{filepath.Join(root, "x"), filepath.Join(elsewhere, "x"), elsewhere, "/etc/passwd", "/dev/zero", "/proc/self/environ"}
	model := filepath.Join(folder, "model.onnx")

	control, err := trace(folder, "cat", "../x", "link")
	if err != nil {
		return err
	}
	if found := outside(control, nil, forbidden, folder); len(found) != 2 {
		return fmt.Errorf("a program that opens two files outside the folder: want both found, got %q", found)
	}
	fmt.Println("control     a program that opens ../x and link is found")

	for _, command := range [][]string{{"inspect", model}, {"rewrite", model, "--expose", "attn_out", "-o", filepath.Join(folder, "out.onnx")}, {"encode", model, "--text", "x", "-o", filepath.Join(folder, "out.npy")}} {
		args := append([]string{program}, command...)
		if err := os.WriteFile(model, external("w.bin"), 0o644); err != nil {
			return err
		}
		usual, err := trace(folder, args...)
		if err != nil {
			return err
		}
		if !usual[filepath.Join(folder, "w.bin")] {
			return fmt.Errorf("%s: want the weights in the folder to be opened, got %q", command[0], sorted(usual))
		}
		for _, location := range locations(elsewhere) {
			if err := os.WriteFile(model, external(location), 0o644); err != nil {
				return err
			}
			paths, err := trace(folder, args...)
			if err != nil {
				return err
			}
			if !paths[model] {
				return fmt.Errorf("%s, weights at %q: the model was not opened", command[0], location)
			}
			if found := outside(paths, usual, forbidden, folder); len(found) > 0 {
				return fmt.Errorf("%s, weights at %q: opened %q", command[0], location, found)
			}
			fmt.Printf("%-8s    weights at %q: nothing outside the folder is opened\n", command[0], location)
		}
	}
	fmt.Println("B01 pass")
	return nil
}

// outside returns the paths that are forbidden, or that are neither usual nor in the folder. A link in the folder counts as the
// file that it leads to.
func outside(paths, usual map[string]bool, forbidden []string, folder string) []string {
	var out []string
	for path := range paths {
		real, err := filepath.EvalSymlinks(path)
		if err != nil {
			real = path
		}
		inside := strings.HasPrefix(real, folder+"/") || real == folder
		if slices.Contains(forbidden, real) || usual != nil && !usual[path] && !inside {
			out = append(out, path)
		}
	}
	slices.Sort(out)
	return out
}

func sorted(paths map[string]bool) []string {
	var out []string
	for p := range paths {
		out = append(out, p)
	}
	slices.Sort(out)
	return out
}

// external is a model y = Add(x, w) whose w is 4 floats of a file.
func external(location string) []byte {
	sub := func(n protowire.Number, parts ...[]byte) []byte {
		return protowire.AppendBytes(protowire.AppendTag(nil, n, protowire.BytesType), bytes.Join(parts, nil))
	}
	str := func(n protowire.Number, s string) []byte { return sub(n, []byte(s)) }
	num := func(n protowire.Number, v uint64) []byte {
		return protowire.AppendVarint(protowire.AppendTag(nil, n, protowire.VarintType), v)
	}
	value := func(n protowire.Number, name string) []byte {
		return sub(n, str(1, name), sub(2, sub(1, num(1, 1), sub(2, sub(1, num(1, 4))))))
	}
	w := sub(5, num(1, 4), num(2, 1), str(8, "w"), sub(13, str(1, "location"), str(2, location)), num(14, 1))
	node := sub(1, str(1, "x"), str(1, "w"), str(2, "y"), str(4, "Add"))
	return bytes.Join([][]byte{num(1, 8), sub(8, str(1, ""), num(2, 17)), sub(7, str(2, "g"), node, w, value(11, "x"), value(12, "y"))}, nil)
}
