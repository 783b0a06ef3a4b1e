package lib

import (
	"bytes"
	"debug/elf"
	"debug/macho"
	"encoding/binary"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/onnx-inject/onnx-inject/graph/base/hint"
)

func TestPinned(t *testing.T) {
	m := Pinned()
	if older(m.Version, Oldest) {
		t.Errorf("pinned version %s is older than %s", m.Version, Oldest)
	}
	have := map[string][]string{}
	for _, b := range m.Builds {
		key := b.Platform + " " + string(b.Flavor)
		have[key] = append(have[key], b.Client)
		if len(b.Files) == 0 {
			t.Fatalf("%s from %s has no files", key, b.Client)
		}
		if b.Client == "pip" && b.Tag == "" {
			t.Errorf("%s from pip has no platform tag", key)
		}
		for _, f := range b.Files {
			if len(f.SHA256) != 64 || strings.Trim(f.SHA256, "0123456789abcdef") != "" {
				t.Errorf("%s: %q is not a SHA-256 sum", f.Member, f.SHA256)
			}
		}
	}
	both := []string{"pip", "npm"}
	want := map[string][]string{
		"linux/amd64 cpu": both, "linux/arm64 cpu": both, "darwin/arm64 cpu": both, "windows/amd64 cpu": both, "windows/arm64 cpu": both,
		"linux/amd64 cuda": {"pip"},
	}
	if d := cmp.Diff(want, have); d != "" {
		t.Error(d)
	}
}

func TestOlder(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"1.24.1", "1.24.1", false}, {"1.24.0", "1.24.1", true}, {"1.9.0", "1.24.1", true}, {"1.30.0", "1.24.1", false},
		{"2.0", "1.24.1", false}, {"1.24", "1.24.1", true}, {"1.25-dev", "1.24.1", false}, {"", "1.24.1", true},
	} {
		if got := older(c.a, c.b); got != c.want {
			t.Errorf("older(%q, %q) = %v", c.a, c.b, got)
		}
	}
}

// elfFile returns the smallest ELF file that is accepted as a shared library: a header and one empty section.
func elfFile(m elf.Machine, kind elf.Type) []byte {
	h := elf.Header64{
		Ident:   [16]byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), 1},
		Type:    uint16(kind),
		Machine: uint16(m), Version: 1, Ehsize: 64,
	}
	return encode(h)
}

// machoFile returns a Mach-O library that states its version.
func machoFile(cpu macho.Cpu, version uint32) []byte {
	return encode(
		macho.FileHeader{Magic: macho.Magic64, Cpu: cpu, Type: macho.TypeDylib, Ncmd: 1, Cmdsz: 32}, uint32(0),
		[6]uint32{0xd, 32, 24, 0, version, 0}, [8]byte{'l', 'i', 'b'},
	)
}

// peFile returns a DLL with a resource section that holds a version.
func peFile(machine uint16, hi, lo uint32) []byte {
	dos := make([]byte, 96)
	copy(dos, "MZ")
	dos[0x3c] = 96
	section := struct {
		Name                                [8]byte
		VSize, VAddr, Size, At, Reloc, Line uint32
		NReloc, NLine                       uint16
		Flags                               uint32
	}{Name: [8]byte{'.', 'r', 's', 'r', 'c'}, VSize: 32, Size: 32, At: 96 + 4 + 20 + 40}
	return encode(dos, [4]byte{'P', 'E'},
		[2]uint16{machine, 1}, [3]uint32{}, [2]uint16{0, 0x2000}, section,
		[8]uint32{0, 0, 0xfeef04bd, 0x10000, hi, lo, 0, 0})
}

func encode(parts ...any) []byte {
	var b bytes.Buffer
	for _, p := range parts {
		if err := binary.Write(&b, binary.LittleEndian, p); err != nil {
			panic(err)
		}
	}
	return b.Bytes()
}

func write(t *testing.T, path string, data []byte) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestReadLibrary(t *testing.T) {
	for _, c := range []struct {
		name string
		data []byte
		want Info
		err  string
	}{
		{name: "elf amd64", data: elfFile(elf.EM_X86_64, elf.ET_DYN), want: Info{Platform: "linux/amd64"}},
		{name: "elf arm64", data: elfFile(elf.EM_AARCH64, elf.ET_DYN), want: Info{Platform: "linux/arm64"}},
		{name: "elf riscv", data: elfFile(elf.EM_RISCV, elf.ET_DYN), want: Info{Platform: "linux/EM_RISCV"}},
		{name: "elf program", data: elfFile(elf.EM_X86_64, elf.ET_EXEC), err: "not a shared library"},
		{name: "mach-o", data: machoFile(macho.CpuArm64, 1<<16|30<<8|2), want: Info{Platform: "darwin/arm64", Version: "1.30.2"}},
		{name: "pe", data: peFile(0x8664, 1<<16|24, 3<<16), want: Info{Platform: "windows/amd64", Version: "1.24.3"}},
		{name: "text", data: []byte("#!/bin/sh\n"), err: "not a shared library"},
		{name: "empty", err: "not a shared library"},
		{name: "cut elf", data: elfFile(elf.EM_X86_64, elf.ET_DYN)[:20], err: "EOF"},
	} {
		got, err := readLibrary(write(t, filepath.Join(t.TempDir(), "lib"), c.data))
		if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: got error %v, want %q", c.name, err, c.err)
		}
		if d := cmp.Diff(c.want, got); err == nil && d != "" {
			t.Errorf("%s: %s", c.name, d)
		}
	}
}

// here returns bytes that are accepted as a library for the machine that runs the test, with the given version.
func here(t *testing.T, minor uint32) []byte {
	t.Helper()
	switch runtime.GOOS {
	case "linux": // a hand-made ELF file has no version: Check accepts it, and package ort reads the version of the loaded library
		m := map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}[runtime.GOARCH]
		return append(elfFile(m, elf.ET_DYN), byte(minor))
	case "darwin":
		return machoFile(macho.CpuArm64, 1<<16|minor<<8)
	case "windows":
		return peFile(map[string]uint16{"amd64": 0x8664, "arm64": 0xaa64}[runtime.GOARCH], 1<<16|minor, 0)
	}
	t.Fatalf("no sample library for %s", platform())
	return nil
}

func foreign() []byte {
	if runtime.GOOS == "darwin" {
		return peFile(0x8664, 1<<16|30, 0)
	}
	return machoFile(macho.CpuArm64, 1<<16|30<<8)
}

func TestS01Paths(t *testing.T) {
	dir := t.TempDir()
	good := write(t, filepath.Join(dir, "good", "lib"), here(t, 30))
	text := write(t, filepath.Join(dir, "text", "lib"), []byte("hello, this is text"))
	other := write(t, filepath.Join(dir, "other", "lib"), foreign())
	type refusal struct{ name, path, err, hint string }
	cases := []refusal{
		{"good", good, "", ""},
		{"relative", "lib/x.so", `library "lib/x.so": a relative path depends on the current folder`, "give the absolute path, such as "},
		{"missing", filepath.Join(dir, "none"), "no such file", adviceInstall},
		{"text", text, "not a shared library", adviceInstall},
		{"other machine", other, "want a library for " + platform() + ", got one for ", adviceInstall},
	}
	if runtime.GOOS != "windows" {
		open := write(t, filepath.Join(dir, "open", "lib"), here(t, 30))
		loose := write(t, filepath.Join(dir, "loose", "sub", "lib"), here(t, 30))
		sticky := write(t, filepath.Join(dir, "sticky", "lib"), here(t, 30))
		link := filepath.Join(dir, "link")
		for _, err := range []error{
			os.Chmod(open, 0o666), os.Chmod(filepath.Join(dir, "loose"), 0o777),
			os.Chmod(filepath.Join(dir, "sticky"), 0o777|fs.ModeSticky), os.Symlink(open, link),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
		const hint = "anyone on this machine could put another file in its place"
		cases = append(cases,
			refusal{"file writable by all", open, "is writable by everyone (mode -rw-rw-rw-)", hint},
			refusal{"folder above writable by all", loose, "is writable by everyone (mode drwxrwxrwx)", hint},
			refusal{"link to a file writable by all", link, "is writable by everyone", hint},
			refusal{"sticky folder", sticky, "", ""},
			refusal{"folder", filepath.Join(dir, "good"), "is a folder", ""},
		)
	}
	for _, c := range cases {
		_, err := Check(c.path)
		if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.err)
		}
		if !strings.HasPrefix(hint.Of(err), c.hint) {
			t.Errorf("%s: got hint %q, want %q", c.name, hint.Of(err), c.hint)
		}
	}
}

func TestS02TooOld(t *testing.T) {
	if runtime.GOOS == "linux" {
		t.Log("on linux the version of a file is read from its symbols; package ort tests that with a real linker")
	} else if _, err := Check(write(t, filepath.Join(t.TempDir(), "lib"), here(t, 19))); err == nil || !strings.Contains(err.Error(), "too old, need >= 1.24, got 1.19") {
		t.Errorf("got %v", err)
	}
	if got := TooOld("/x/lib.so", "1.19.2").Error(); got != `library "/x/lib.so": this library is too old, need >= 1.24, got 1.19.2` {
		t.Error(got)
	}
}

// isolate limits Find to the files that the test creates, and returns the folder of the user cache.
func isolate(t *testing.T) string {
	t.Helper()
	home := t.TempDir()
	for _, k := range []string{"HOME", "XDG_CACHE_HOME", "LocalAppData"} {
		t.Setenv(k, home)
	}
	t.Setenv(string(FromEnv), "")
	t.Setenv(string(FromBinding), "")
	t.Setenv(packageVariable, "")
	dir, err := CacheDir(CPU)
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestFindOrder(t *testing.T) {
	cache := isolate(t)
	dir := t.TempDir()
	flag := write(t, filepath.Join(dir, "flag"), here(t, 30))
	env := write(t, filepath.Join(dir, "env"), here(t, 30))
	binding := write(t, filepath.Join(dir, "binding"), here(t, 30))
	packaged := write(t, filepath.Join(dir, "packaged"), here(t, 30))

	// a cached file is accepted only with one of the pinned sums
	saved := pinned
	t.Cleanup(func() { pinned = saved })
	good := here(t, 30)
	m := Manifest{Version: "1.30.0", Builds: []Build{
		{Platform: platform(), Flavor: CPU, Client: "pip", Package: "p", Files: []File{{Member: "a/lib.so", SHA256: sum(good)}}},
	}}
	pinned = func() Manifest { return m }
	cached := write(t, filepath.Join(cache, "lib.so"), good)

	find := func(explicit string) (Source, string) {
		t.Helper()
		f, err := Find(explicit, CPU)
		if err != nil {
			t.Fatal(err)
		}
		return f.Source, f.Path
	}
	check := func(explicit string, s Source, path string) {
		t.Helper()
		if gs, gp := find(explicit); gs != s || gp != path {
			t.Errorf("got %s from %s, want %s from %s", gp, gs, path, s)
		}
	}
	check("", FromCache, cached)
	t.Setenv(packageVariable, filepath.Join(dir, "gone")) // a package without a library
	check("", FromCache, cached)
	t.Setenv(packageVariable, packaged)
	check("", FromPackage, packaged)
	t.Setenv(string(FromBinding), binding)
	check("", FromBinding, binding)
	t.Setenv(string(FromEnv), env)
	check("", FromEnv, env)
	check(flag, FromFlag, flag)

	// a library that the user names is never skipped
	t.Setenv(string(FromEnv), filepath.Join(dir, "gone"))
	if _, err := Find("", CPU); err == nil || !strings.Contains(err.Error(), "find ONNX Runtime (ONNX_INJECT_ORT_LIB): ") || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("got %v", err)
	}
	t.Setenv(string(FromEnv), "")
	t.Setenv(string(FromBinding), "")

	// a package whose library cannot be used is not skipped either, and the advice is to upgrade it
	write(t, packaged, []byte("text"))
	if _, err := Find("", CPU); err == nil || !strings.Contains(err.Error(), "(onnxruntime package): ") || hint.Of(err) != adviceUpgrade {
		t.Errorf("got %v, hint %q", err, hint.Of(err))
	}
	t.Setenv(packageVariable, "")

	good[len(good)-1]++ // one byte
	write(t, cached, good)
	_, err := Find("", CPU)
	if err == nil || !strings.Contains(err.Error(), "find ONNX Runtime (user cache): cached file") || !strings.Contains(err.Error(), "want sha256") {
		t.Errorf("a changed byte in the cache: got %v", err)
	}
	if h := hint.Of(err); !strings.Contains(h, "ort install") {
		t.Errorf("hint %q", h)
	}
	r := Inspect(t.Context(), "", CPU)
	if i := slices.IndexFunc(r.Looked, func(p Place) bool { return p.Source == FromCache && p.Exists }); i < 0 || !strings.Contains(r.Looked[i].Problem, "want sha256") {
		t.Errorf("inspect does not show the changed file: %+v", r.Looked)
	}
	if r.Chosen != nil || r.Problem != err.Error() {
		t.Errorf("inspect chose %v, problem %q", r.Chosen, r.Problem)
	}
}

func TestFindNothing(t *testing.T) {
	isolate(t)
	f, err := Find("", CPU)
	if err == nil {
		if f.Source != FromSystem {
			t.Fatalf("found %+v", f)
		}
		return // this machine has one in its system folders
	}
	if got := err.Error(); got != "find ONNX Runtime: no library on this machine" {
		t.Error(got)
	}
	if h := hint.Of(err); h != adviceInstall {
		t.Errorf("hint %q", h)
	}
}

func TestNameVersion(t *testing.T) {
	for name, want := range map[string]string{
		"libonnxruntime.so": "", "libonnxruntime.so.1": "1", "libonnxruntime.so.1.30.0": "1.30.0",
		"libonnxruntime.dylib": "", "libonnxruntime.1.30.0.dylib": "1.30.0",
	} {
		if got := nameVersion("/x/" + name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}
