package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

const root = "../.."

// slow skips a test that "make test" leaves to "make matrix".
func slow(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("ONNX_INJECT_MATRIX") == "" {
		t.Skip(why + `; "make matrix" runs it`)
	}
}

func output(t *testing.T, dir string, env []string, name string, args ...string) []byte {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(failed(strings.Join(cmd.Args, " "), err))
	}
	return out
}

// The modules in the cache are those of go.sum.
func TestS05Modules(t *testing.T) {
	if got := strings.TrimSpace(string(output(t, root, nil, "go", "mod", "verify"))); got != "all modules verified" {
		t.Error(got)
	}
}

// Two builds in two folders, each with its own empty cache, have equal bytes, and these name no folder of this machine.
func TestS05ReproducibleBuild(t *testing.T) {
	slow(t, "two whole builds")
	var builds [][]byte
	for i := range 2 {
		source := filepath.Join(t.TempDir(), fmt.Sprint("copy", i))
		for _, f := range strings.Split(strings.Trim(string(output(t, root, nil, "git", "ls-files", "-z", "*.go", "*.h", "*.c", "go.mod", "go.sum", "models", "cmd", "runtime")), "\x00"), "\x00") {
			content, err := os.ReadFile(filepath.Join(root, f))
			if err != nil {
				t.Fatal(err)
			}
			if err := os.MkdirAll(filepath.Join(source, filepath.Dir(f)), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(source, f), content, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		// One build with one process and at another time: neither order nor clock may matter.
		start := time.Now()
		output(t, source, []string{"GOCACHE=" + t.TempDir(), "GOFLAGS="}, "go", "build", "-p", fmt.Sprint(1+3*i), "-trimpath", "-buildvcs=false", "-o", "onnx-inject", "./cmd/onnx-inject")
		b, err := os.ReadFile(filepath.Join(source, "onnx-inject"))
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("build %d: %d bytes, sha256 %x, %v", i, len(b), sha256.Sum256(b), time.Since(start).Round(time.Second))
		modules := strings.TrimSpace(string(output(t, root, nil, "go", "env", "GOMODCACHE")))
		for _, folder := range []string{source, modules} {
			if bytes.Contains(b, []byte(folder)) {
				t.Errorf("the program contains the name of the folder %s", folder)
			}
		}
		builds = append(builds, b)
	}
	if !bytes.Equal(builds[0], builds[1]) {
		at := 0
		for at < min(len(builds[0]), len(builds[1])) && builds[0][at] == builds[1][at] {
			at++
		}
		t.Errorf("two builds differ from byte %d on", at)
	}
}

// Every module in the program has a version, a checksum in go.sum and a licence, which its text confirms.
func TestS06ListOfModules(t *testing.T) {
	list, err := readLicences(licencesFile)
	if err != nil {
		t.Fatal(err)
	}
	modules, err := linkedModules()
	if err != nil {
		t.Fatal(err)
	}
	packages, err := pagePackages(root)
	if err != nil {
		t.Fatal(err)
	}
	all := slices.Concat(modules, packages)
	if err := checkLicences(list, all); err != nil {
		t.Error(err)
	}
	if len(packages) < 10 {
		t.Errorf("found only %d packages of the plotting library", len(packages))
	}
	lock, err := os.ReadFile(filepath.Join(root, "scripts", "pagelibrary", "package-lock.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range packages {
		name, version := strings.TrimPrefix(p.Path, "npm:"), strings.TrimPrefix(p.Version, "v")
		entry := regexp.MustCompile(`"node_modules/` + regexp.QuoteMeta(name) + `": \{\s+"version": "` + regexp.QuoteMeta(version) + `",\s+"integrity": "sha512-`)
		if !entry.Match(lock) {
			t.Errorf("%s %s: no checksum in package-lock.json", p.Path, p.Version)
		}
	}
	sums, err := os.ReadFile(filepath.Join(root, "go.sum"))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range modules {
		if m.Version == "" || !strings.Contains(string(sums), m.Path+" "+m.Version+" h1:") {
			t.Errorf("%s %q: no checksum in go.sum", m.Path, m.Version)
		}
	}
	if len(modules) < 10 {
		t.Errorf("found only %d modules", len(modules))
	}

	var b strings.Builder
	if err := writeLicences(&b, list, all); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"github.com/ajstarks/svgo", "Creative Commons Attribution 4.0", "SIL OPEN FONT LICENSE Version 1.1", "The FreeType Project LICENSE", "==== npm:@observablehq/plot v", "Observable, Inc."} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the texts do not contain %q", want)
		}
	}
}

// notices returns the names of the packages whose notices the plotting library in HTML pages begins with. The program that bundles the
// library writes them of what it bundled.
func notices(t *testing.T) map[string]bool {
	t.Helper()
	script, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(pageLibrary), "plot.min.js"))
	if err != nil {
		t.Fatal(err)
	}
	banner, _, _ := strings.Cut(string(script), "*/")
	out := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^(\S+): Copyright `).FindAllStringSubmatch(banner, -1) {
		out[m[1]] = true
	}
	if len(out) < 10 {
		t.Fatalf("found only %d notices", len(out))
	}
	return out
}

// component is an entry of a bill of materials.
type component struct {
	Name, Version, Purl string
	Hashes              []struct{ Alg, Content string }
	Licenses            []struct{ Expression string }
}

// checkPages checks that a bill of materials lists the packages of the plotting library, each with its version, licence and checksum.
func checkPages(t *testing.T, components []component) {
	t.Helper()
	got := map[string]bool{}
	for _, c := range components {
		got[c.Name] = true
		if want := "pkg:npm/" + strings.Replace(c.Name, "@", "%40", 1) + "@" + c.Version; c.Purl != want || !regexp.MustCompile(`^\d+\.\d+\.\d+$`).MatchString(c.Version) {
			t.Errorf("%s %s: want the package URL %s, got %s", c.Name, c.Version, want, c.Purl)
		}
		if len(c.Hashes) != 1 || c.Hashes[0].Alg != "SHA-512" || len(c.Hashes[0].Content) != 128 || len(c.Licenses) != 1 || !strings.HasPrefix(c.Licenses[0].Expression, "ISC") {
			t.Errorf("%s: want one SHA-512 and a licence, got %+v", c.Name, c)
		}
	}
	if want := notices(t); !maps.Equal(got, want) {
		t.Errorf("the bill of materials lists the packages %v, the library contains %v", slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)))
	}
}

// The packages in HTML pages are added to a bill of materials, which keeps what it lists.
func TestS06PagesInBillOfMaterials(t *testing.T) {
	list, err := readLicences(licencesFile)
	if err != nil {
		t.Fatal(err)
	}
	const modules = `{"bomFormat": "CycloneDX", "version": 1, "components": [{"name": "m", "version": "v1.0.0", "x": [1]}],
		"dependencies": [{"ref": "program", "dependsOn": ["m"]}, {"ref": "m"}]}`
	b, err := addPages([]byte(modules), root, list)
	if err != nil {
		t.Fatal(err)
	}
	var bom struct {
		BomFormat    string
		Version      int
		Components   []component
		Dependencies []struct {
			Ref       string
			DependsOn []string
		}
	}
	if err := json.Unmarshal(b, &bom); err != nil {
		t.Fatal(err)
	}
	if bom.BomFormat != "CycloneDX" || bom.Version != 1 || !bytes.Contains(b, []byte(`"x": [`)) || bom.Components[0].Name != "m" {
		t.Errorf("want what the bill of materials listed, got %.200s", b)
	}
	checkPages(t, bom.Components[1:])
	on := []string{"m"}
	for _, c := range bom.Components[1:] {
		on = append(on, c.Purl)
	}
	if d := bom.Dependencies; len(d) != 2 || !slices.Equal(d[0].DependsOn, on) || d[1].Ref != "m" || len(d[1].DependsOn) != 0 {
		t.Errorf("want the packages as dependencies of the program, got %+v", d)
	}
	for _, bad := range []string{"", "[]", "{}", `{"components": [{}]}`, `{"components": {}, "dependencies": [{}]}`} {
		if _, err := addPages([]byte(bad), root, list); err == nil || !strings.Contains(err.Error(), "bill of materials: ") {
			t.Errorf("%q: got %v", bad, err)
		}
	}
}

// The bill of materials that "make sbom" writes lists the modules that the linker put into the program and the packages in its HTML
// pages, with their checksums.
func TestS06BillOfMaterials(t *testing.T) {
	slow(t, "compiles the tool that writes it")
	output(t, root, nil, "make", "--silent", "sbom")
	b, err := os.ReadFile(filepath.Join(root, "bin", "onnx-inject.cdx.json"))
	if err != nil {
		t.Fatal(err)
	}
	var bom struct {
		BomFormat  string
		Components []component
	}
	if err := json.Unmarshal(b, &bom); err != nil {
		t.Fatal(err)
	}
	got := map[string]bool{}
	var pages []component
	for _, c := range bom.Components {
		if c.Name == "std" {
			continue
		}
		if strings.HasPrefix(c.Purl, "pkg:npm/") {
			pages = append(pages, c)
			continue
		}
		got[c.Name+" "+c.Version] = true
		if len(c.Hashes) != 1 || c.Hashes[0].Alg != "SHA-256" || len(c.Hashes[0].Content) != 64 || c.Purl == "" {
			t.Errorf("%s: want a package URL and one SHA-256, got %+v", c.Name, c)
		}
	}
	want := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^\tdep\t(\S+)\t(\S+)`).FindAllStringSubmatch(string(output(t, root, nil, "go", "version", "-m", "bin/onnx-inject")), -1) {
		want[m[1]+" "+m[2]] = true
	}
	if bom.BomFormat != "CycloneDX" || len(want) < 10 || !maps.Equal(got, want) {
		t.Errorf("%s: got %v, want %v", bom.BomFormat, slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)))
	}
	checkPages(t, pages)
}

// atMost is the number of modules that the program may require by itself.
const atMost = 10

// Every module that go.mod requires directly has a reason. Those of the program are few: not counted are the Go project's own
// (golang.org/x) and those that another required module brings into the program anyway, because requiring them adds no code.
func TestS07DirectDependencies(t *testing.T) {
	modules, err := linkedModules()
	if err != nil {
		t.Fatal(err)
	}
	inProgram := map[string]linked{}
	for _, m := range modules {
		inProgram[m.Path] = m
	}
	file, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	var counted []string
	direct := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^(?:require )?\s*(\S+\.\S+/\S+) v\S+(?: // (.*))?$`).FindAllStringSubmatch(string(file), -1) {
		path, reason := m[1], m[2]
		if reason == "indirect" {
			continue
		}
		direct[path] = true
		if len(strings.Fields(reason)) < 3 {
			t.Errorf("go.mod: %s: want the reason as a comment, got %q", path, reason)
		}
		use := inProgram[path]
		if tests := strings.HasPrefix(reason, "tests:"); tests == use.Direct {
			t.Errorf("go.mod: %s: the reason is %q, but the program's use of it is %v", path, reason, use.Direct)
		}
		if use.Direct && !use.ByOthers && !strings.HasPrefix(path, "golang.org/x/") {
			counted = append(counted, path)
		}
	}
	for _, m := range modules {
		if m.Direct && !direct[m.Path] {
			t.Errorf("%s: the program imports it, but go.mod does not require it directly", m.Path)
		}
	}
	t.Logf("%d of at most %d: %v", len(counted), atMost, counted)
	if len(counted) == 0 || len(counted) > atMost {
		t.Errorf("%d modules are required for the program alone, want 1 to %d: %v", len(counted), atMost, counted)
	}
}

func TestLicencesFindsFaults(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("LICENSE", "Permission is hereby granted, free of charge, to any person obtaining a copy")
	m := linked{Path: "example.org/m", Version: "v1.0.0", Dir: dir}
	for _, c := range []struct {
		list map[string]string
		want string
	}{
		{map[string]string{m.Path: "MIT"}, ""},
		{map[string]string{}, "example.org/m is linked into the program: read its licence"},
		{map[string]string{m.Path: "MIT", "example.org/gone": "MIT"}, "example.org/gone is no longer linked"},
		{map[string]string{m.Path: "Apache-2.0"}, "do not hold the licence Apache-2.0"},
		{map[string]string{m.Path: "MIT AND BSD-3-Clause"}, "do not hold the licence BSD-3-Clause"},
		{map[string]string{m.Path: "Other"}, `licence "Other": add a phrase`},
	} {
		err := checkLicences(c.list, []linked{m})
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: got %v, want %q", c.list, err, c.want)
		}
	}
	m.Dir = t.TempDir()
	if err := checkLicences(map[string]string{m.Path: "MIT"}, []linked{m}); err == nil || !strings.Contains(err.Error(), "no file with a licence") {
		t.Errorf("got %v", err)
	}
	for _, text := range []string{"example.org/m", "example.org/m MIT\nexample.org/m MIT"} {
		if _, err := readLicences(text); err == nil {
			t.Errorf("%q is accepted", text)
		}
	}
}
