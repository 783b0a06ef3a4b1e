package graph

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// seeds are small models in text, each with a special feature. All are smaller than 3 KB as files: larger seeds slow the
// fuzzer down to a halt.
var seeds = []string{
	site,
	nested(3),
	`ir 8 opset 17 opset p 1 function p.F { opset 17 attr a attr b: 1 in v  s = Sqrt(v) {x: $a}  r = Mul(s, v)  out r } graph g { in x: float32[4]  y = p.F(x) {a: 0.5}  z = p.F(y)  out z }`,
	`graph g { const a = float32[2] {1, 2} const s = string[1] {"s"} const h = float16[2] {1, 2} const i = int4[3] base64 "IQM=" k = Constant() {value: int64[1] {3}} out k out a }`,
	`graph g { in c: bool[] in "odd name": float32["a b", 4, ?] y, _, z = com.x.Op("odd name", _, c) {i: 1, f: 1.5, s: "t", is: [1], fs: [1.0], ss: ["a"], e: ints[], gs: graphs[graph h { out c }]} @label out y }`,
	`meta "k" "v" producer "p" "1" graph g { in w: float32[1] = float32[1] {1} y = Neg(w) out y }`,
}

// FuzzLoad reads arbitrary bytes as a model, next to a data file. It must not panic. A model that loads must be equal after
// saving and loading it. Its seeds are files: see TestSeeds.
func FuzzLoad(f *testing.F) {
	dir := f.TempDir()
	in, out := filepath.Join(dir, "in.onnx"), filepath.Join(dir, "out.onnx")
	if err := os.WriteFile(filepath.Join(dir, "w.bin"), make([]byte, 4096), 0o644); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := os.WriteFile(in, data, 0o644); err != nil {
			t.Fatal(err)
		}
		m, err := Load(in)
		if err != nil {
			return
		}
		defer m.Close()
		text := Format(m)
		if err := Check(m); err != nil {
			t.Fatal(err)
		}
		for _, w := range []Weights{Embed, Ref} {
			if _, err := Save(context.Background(), m, out, w, true); err != nil {
				t.Fatalf("%s: %v\n%s", w, err, text)
			}
			again, err := Load(out)
			if err != nil {
				t.Fatalf("%s: %v\n%s", w, err, text)
			}
			got := Format(again)
			again.Close()
			if w == Ref && withoutFiles(got) != withoutFiles(text) {
				t.Fatalf("%s: saved\n%s\nloaded\n%s", w, text, got)
			}
		}
		read, err := ParseIn(dir, text)
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		defer read.Close()
		if got := Format(read); got != text {
			t.Fatalf("printed\n%s\nprinted again\n%s", text, got)
		}
	})
}

// FuzzParseText reads arbitrary text. It must not panic. The printed form of a model must parse to the same model.
func FuzzParseText(f *testing.F) {
	for _, s := range seeds {
		f.Add(s)
	}
	f.Add(`graph g { const a = int8[4] file "testdata/functions.onnx" 8 4 const b = int64[1] file "testdata/functions.onnx" 8 1 as int64_data out a }`)
	f.Fuzz(func(t *testing.T, text string) {
		m, err := Parse(text)
		if err != nil {
			if strings.Contains(err.Error(), "\n") && strings.Count(err.Error(), "\n") > 200 {
				t.Fatalf("an error of many lines: %v", err)
			}
			return
		}
		defer m.Close()
		if err := Check(m); err != nil {
			t.Fatal(err)
		}
		once := Format(m)
		again, err := Parse(once)
		if err != nil {
			t.Fatalf("%v\n%s", err, once)
		}
		defer again.Close()
		if twice := Format(again); twice != once {
			t.Fatalf("printed\n%s\nprinted again\n%s", once, twice)
		}
		if _, _, err := Marshal(m); err != nil && len(m.Files()) <= 1 {
			t.Fatal(err)
		}
	})
}
