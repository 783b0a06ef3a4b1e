package main

import (
	"bytes"
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/onnx-inject/onnx-inject/models/hub/hubtest"
	"github.com/onnx-inject/onnx-inject/runtime/ort/orttest"
)

const repository = "../.." // the root

// documents are the pages whose blocks are run, in this order and in one folder.
var documents = []string{
	"README.md", "CONTRIBUTING.md", "cmd/onnx-inject/docs/commands.md", "cmd/onnx-inject/docs/ports.md", "cmd/onnx-inject/docs/interventions.md",
	"cmd/onnx-inject/docs/experiments.md", "cmd/onnx-inject/docs/accuracy.md", "cmd/onnx-inject/docs/go.md",
}

// elsewhere lists what this test does not run itself: commands by their beginning, and blocks as "README.md#anchor language". A script
// that runs a block contains its name. A command of this program is parsed.
var elsewhere = []struct{ what, by, why string }{
	{"make dist", "scripts/dist/test.sh", "builds for four systems"},
	{"make demo", "Makefile", "builds the program; this test runs onnx-inject demo"},
	{"make install", "scripts/dist/test.sh", "installs"},
	{"make check", "Makefile", "needs no library and runs no model"},
	{"make test", "Makefile", "this test is part of it"},
	{"pip install dist/*.whl", "scripts/dist/test.sh", "needs what make dist builds"},
	{"npx --package ./dist/onnx-inject-*.tgz", "scripts/dist/test.sh", "needs what make dist builds"},
	{"tar xzf dist/", "scripts/dist/test.sh", "needs what make dist builds"},
	{"pip install \"optimum-onnx[onnxruntime]\"", "scripts/realmodel/run.sh", "needs the network"},
	{"optimum-cli export onnx", "scripts/realmodel/run.sh", "needs the network"},
	{"scripts/paper.sh paper", "scripts/paper.sh", "downloads 0.8 GB"},
	{"onnx-inject lens gpt2/ --data paper/", "scripts/realmodel/run.sh", "needs GPT-2 and the authors' files; the script does the same with another model"},
	{"onnx-inject eval gpt2/ --data paper/", "scripts/realmodel/run.sh", "needs GPT-2 and the authors' files; the script does the same with another model"},
	{"onnx-inject report hand", "cmd/onnx-inject/testdata/script/report_published.txtar", "needs the results of these"},
	{"README.md#python-with-onnxruntime python", "scripts/hosts/readme.py", "needs onnxruntime for Python"},
	{"README.md#optimum python", "scripts/hosts/readme.py", "needs optimum"},
	{"README.md#node js", "scripts/hosts/readme.py", "needs onnxruntime-node"},
	{"README.md#a-browser-page html", "scripts/hosts/readme.py", "needs onnxruntime-web and a browser"},
	{"README.md#rust rust", "scripts/hosts/readme.py", "needs the crate ort"},
	{"README.md#java java", "scripts/hosts/readme.py", "needs onnxruntime for Java"},
	{"README.md#the-python-package python", "scripts/hosts/readme.py", "needs the wheel: make dist-test runs it"},
	{"cmd/onnx-inject/docs/ports.md#the-contract-of-a-patched-model python", "scripts/hosts/readme.py", "needs onnxruntime for Python"},
	{"cmd/onnx-inject/docs/interventions.md#activations-of-many-prompts python", "scripts/hosts/readme.py", "needs pandas and safetensors"},
}

// block is what is between two fences.
type block struct {
	doc, anchor    string
	line           int
	language, rest string // of ```language rest
	text           string
}

func (b block) String() string { return fmt.Sprintf("%s:%d", b.doc, b.line) }

// blocks returns the blocks of a page and the anchors of its headings. An indented block has no language.
func blocks(t *testing.T, doc string) (out []block, anchors []string) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(repository, doc))
	if err != nil {
		t.Fatal(err)
	}
	var b *block
	anchor, blank := "", true
	for i, line := range strings.Split(string(data), "\n") {
		switch fence, isFence := strings.CutPrefix(line, "```"); {
		case b != nil && line == "```":
			out, b = append(out, *b), nil
		case b != nil:
			b.text += line + "\n"
		case isFence:
			b = &block{doc: doc, anchor: anchor, line: i + 1}
			b.language, b.rest, _ = strings.Cut(fence, " ")
		case blank && strings.HasPrefix(line, "    "):
			out = append(out, block{doc: doc, anchor: anchor, line: i + 1})
		case strings.HasPrefix(line, "#"):
			anchor = slug(strings.TrimLeft(line, "# "))
			if slices.Contains(anchors, anchor) {
				t.Errorf("%s:%d: a second heading with the anchor %s", doc, i+1, anchor)
			}
			anchors = append(anchors, anchor)
		}
		blank = b == nil && strings.TrimSpace(line) == ""
	}
	if b != nil {
		t.Errorf("%v: no end of the block", b)
	}
	return out, anchors
}

// slug is the anchor that GitHub makes of a heading.
func slug(heading string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case unicode.IsLetter(r), unicode.IsDigit(r), r == '-', r == '_':
			return unicode.ToLower(r)
		}
		return -1
	}, heading)
}

// TestDocuments runs the commands of README.md and of the pages in docs, and compares what they print with what the page shows. "…" in a
// page is any text, and a line of it any lines. A block with a file name is that file for the commands after it. A block of Go is part
// of the file that it names. All other blocks must be in the list elsewhere.
func TestDocuments(t *testing.T) {
	used := map[string]bool{}
	dir := t.TempDir()
	h := hubtest.New(t)
	repos, err := repositories()
	if err != nil {
		t.Fatal(err)
	}
	world := repos["org/small-world"] // in place of the real models
	quantised := maps.Clone(world)
	quantised["onnx/model_q4f16.onnx"] = world["model.onnx"]
	h.Commit("openai-community/gpt2", "main", world)
	h.Commit("onnx-community/Qwen2.5-0.5B-Instruct", "main", quantised)
	env := append(os.Environ(), "ONNX_INJECT_ORT_LIB="+orttest.Host(t).Lib, "HOME="+dir, "HF_ENDPOINT="+h.URL, "HF_HOME="+filepath.Join(dir, ".hub"))
	for _, doc := range documents {
		all, _ := blocks(t, doc)
		for _, b := range all {
			switch {
			case b.language == "":
				t.Errorf("%v: want a fence and a language", b)
			case b.language == "console":
				console(t, b, dir, env, used)
			case b.language == "text": // a picture
			case b.language == "go":
				source, err := os.ReadFile(filepath.Join(repository, b.rest))
				if err != nil {
					t.Errorf("%v: want the file that the block is part of: %v", b, err)
				} else if !strings.Contains(dedent(string(source)), dedent(b.text)) {
					t.Errorf("%v: the block is not part of %s", b, b.rest)
				}
			case b.rest != "":
				if err := os.WriteFile(filepath.Join(dir, b.rest), []byte(b.text), 0o666); err != nil {
					t.Error(err)
				}
			default:
				other(t, b, b.doc+"#"+b.anchor+" "+b.language, used)
			}
		}
	}
	for _, e := range elsewhere {
		if !used[e.what] {
			t.Errorf("%q is in the list elsewhere, and in no page", e.what)
		}
	}
}

var space = regexp.MustCompile(`(?m)^[ \t]+`)

func dedent(s string) string { return space.ReplaceAllString(s, "") }

// ours matches commands that this test runs: those of the program, and a variable for the commands after it.
var ours = regexp.MustCompile(`^(onnx-inject |[a-z]+=)`)

// other finds a command or a block in the list elsewhere.
func other(t *testing.T, b block, what string, used map[string]bool) bool {
	t.Helper()
	for _, e := range elsewhere {
		if !strings.HasPrefix(what, e.what) {
			continue
		}
		used[e.what] = true
		script, err := os.ReadFile(filepath.Join(repository, e.by))
		if err != nil || strings.Contains(e.what, "#") && !strings.Contains(string(script), `"`+e.what+`"`) {
			t.Errorf("%v: want %s to run %q (%v)", b, e.by, e.what, err)
		}
		return true
	}
	if !ours.MatchString(what) {
		t.Errorf("%v: nothing runs %q: add it to the list elsewhere, with what does", b, what)
	}
	return false
}

// step is a command of a block and the output that the page shows for it.
type step struct{ command, output string }

func steps(t *testing.T, b block) (out []step) {
	t.Helper()
	continued := false
	for line := range strings.Lines(b.text) {
		command, isCommand := strings.CutPrefix(line, "$ ")
		switch {
		case isCommand:
			out = append(out, step{command: command})
		case len(out) == 0:
			t.Fatalf("%v: want a first line that begins with $, got %q", b, line)
		case continued:
			out[len(out)-1].command += line
		default:
			out[len(out)-1].output += line
		}
		continued = (isCommand || continued) && strings.HasSuffix(line, "\\\n")
	}
	return out
}

const marker = "---- end of command "

// console runs the commands of a block in one shell.
func console(t *testing.T, b block, dir string, env []string, used map[string]bool) {
	t.Helper()
	var script bytes.Buffer
	var run []step
	for _, s := range steps(t, b) {
		if !other(t, b, s.command, used) {
			run = append(run, s)
			fmt.Fprintf(&script, "%s\necho '%s'$?\n", strings.TrimSuffix(s.command, "\n"), marker)
			continue
		}
		if line, _, _ := strings.Cut(strings.ReplaceAll(s.command, "\\\n", ""), "   # "); strings.HasPrefix(line, "onnx-inject ") {
			if _, err := arrange(newApp(nil, nil), words(t, line)); err != nil {
				t.Errorf("%v: %s: %v", b, line, err)
			}
		}
	}
	if len(run) == 0 {
		return
	}
	c := exec.CommandContext(t.Context(), "sh")
	var errs bytes.Buffer
	c.Dir, c.Env, c.Stdin, c.Stderr = dir, env, &script, &errs
	out, err := c.Output()
	if err != nil {
		t.Fatalf("%v: %v\n%s", b, err, &errs)
	}
	for _, s := range run {
		got, rest, _ := strings.Cut(string(out), marker)
		code, rest, _ := strings.Cut(rest, "\n")
		out = []byte(rest)
		if code != "0" {
			t.Errorf("%v: $ %s: exit code %s\n%s", b, s.command, code, &errs)
		} else if s.output != "" && !shows(s.output, got) {
			t.Errorf("%v: $ %s: the page shows\n%s\nthe program prints\n%s", b, s.command, s.output, got)
		}
	}
}

// shows reports whether a page's text is that of an output.
func shows(page, output string) bool {
	pattern := regexp.QuoteMeta(strings.TrimRight(page, "\n") + "\n")
	pattern = regexp.MustCompile(`(?m)^…\n`).ReplaceAllString(pattern, `(?:.*\n)*?`)
	pattern = strings.ReplaceAll(pattern, "…", `.*`)
	return regexp.MustCompile(`\A` + pattern + `\n*\z`).MatchString(output)
}

func TestShows(t *testing.T) {
	for _, tt := range []struct {
		page, output string
		want         bool
	}{
		{"a\n", "a\n", true}, {"a\n", "a\nb\n", false}, {"…\nb\n", "a\nb\n", true}, {"a\n…\n", "a\nb\nc\n", true}, {"a\n…\nc\n", "a\nc\n", true},
		{"a …\n", "a 12\n", true}, {"a … b\n", "a 12 c\n", false}, {"b\n…\n", "a\nb\n", false}, {"a.c\n", "abc\n", false},
	} {
		if got := shows(tt.page, tt.output); got != tt.want {
			t.Errorf("shows(%q, %q) = %v, want %v", tt.page, tt.output, got, tt.want)
		}
	}
}

var link = regexp.MustCompile(`\]\(([^)\s]+)\)|(?:src|href)="([^"]+)"`)

// everyPage returns the Markdown files of the repository, without those of test data and of what tools write.
func everyPage(t *testing.T) (out []string) {
	t.Helper()
	err := fs.WalkDir(os.DirFS(repository), ".", func(path string, d fs.DirEntry, err error) error {
		if name := d.Name(); err == nil && d.IsDir() && (name == "testdata" || name == "dist" || name == "node_modules" || len(name) > 1 && name[0] == '.') {
			return fs.SkipDir
		}
		if strings.HasSuffix(path, ".md") {
			out = append(out, path)
		}
		return err
	})
	if err != nil || len(out) < len(documents) {
		t.Fatalf("%d pages, %v", len(out), err)
	}
	return out
}

// TestLinks follows the links of the pages: files must exist, and anchors must be those of headings. Addresses in the network are not asked.
func TestLinks(t *testing.T) {
	for _, doc := range everyPage(t) {
		data, err := os.ReadFile(filepath.Join(repository, doc))
		if err != nil {
			t.Fatal(err)
		}
		all, _ := blocks(t, doc)
		text := string(data)
		for _, b := range all {
			if b.text != "" {
				text = strings.Replace(text, b.text, "", 1)
			}
		}
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			u, err := url.Parse(m[1] + m[2])
			if err != nil {
				t.Errorf("%s: %v", doc, err)
				continue
			}
			if u.Scheme != "" {
				continue
			}
			target := doc
			if u.Path != "" {
				target = filepath.ToSlash(filepath.Join(filepath.Dir(doc), u.Path))
			}
			if _, err := os.Stat(filepath.Join(repository, target)); err != nil {
				t.Errorf("%s: the link %s: no such file", doc, u)
			} else if u.Fragment != "" {
				if _, anchors := blocks(t, target); !slices.Contains(anchors, u.Fragment) {
					t.Errorf("%s: the link %s: want one of the anchors %s", doc, u, strings.Join(anchors, ", "))
				}
			}
		}
	}
}
