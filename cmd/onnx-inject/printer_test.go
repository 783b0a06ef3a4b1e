package main

import (
	"bytes"
	"math"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"

	"github.com/onnx-inject/onnx-inject/models"
)

func TestEscape(t *testing.T) {
	tests := []struct{ in, want string }{
		{"plain text, ünïcode, 日本, 🙂", "plain text, ünïcode, 日本, 🙂"},
		{"\x1b[31mred", `\x1b[31mred`},
		{"a\nb\tc\r", `a\nb\tc\r`},
		{"right \u202e to left", `right \u202e to left`},
		{"c1 \u009b", `c1 \u009b`},
		{"nul \x00 del \x7f", `nul \x00 del \x7f`},
		{"not utf-8: \xff\xfe", `not utf-8: \xff\xfe`},
		{"replacement \ufffd stays", "replacement \ufffd stays"},
		{"no-break\u00a0space", `no-break\u00a0space`},
	}
	for _, tt := range tests {
		if got := escape(tt.in); got != tt.want {
			t.Errorf("escape(%q) = %s, want %s", tt.in, got, tt.want)
		}
	}
}

func TestShellWord(t *testing.T) {
	for in, want := range map[string]string{
		"out": "out", "a/b-c_1.d": "a/b-c_1.d", "Größe": "Größe", "": "''", "my results": "'my results'", "a$b": "'a$b'", "it's": `'it'\''s'`,
	} {
		if got := shellWord(in); got != want {
			t.Errorf("%q: got %s, want %s", in, got, want)
		}
	}
}

func TestColour(t *testing.T) {
	tests := []struct {
		name     string
		terminal bool
		env      map[string]string
		want     string
	}{
		{"pipe", false, nil, "x\n"},
		{"terminal", true, nil, "\x1b[1mx\x1b[0m\n"},
		{"NO_COLOR", true, map[string]string{"NO_COLOR": "1"}, "x\n"},
		{"empty NO_COLOR", true, map[string]string{"NO_COLOR": ""}, "\x1b[1mx\x1b[0m\n"},
		{"dumb", true, map[string]string{"TERM": "dumb"}, "x\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv("NO_COLOR", "")
			t.Setenv("TERM", "xterm")
			for k, v := range tt.env {
				t.Setenv(k, v)
			}
			var b bytes.Buffer
			newPrinter(&cli.App{Writer: &b, Metadata: map[string]any{"process": process{colour: tt.terminal}}}).line(styled(bold, "x"))
			if b.String() != tt.want {
				t.Errorf("got %q, want %q", b.String(), tt.want)
			}
		})
	}
}

// Columns are aligned whatever they contain: colours have width 0, wide characters have width 2.
func TestTable(t *testing.T) {
	rows := [][]span{{styled(bold, "日本"), text("1"), text("x")}, {text("a"), text("22"), text("yy")}, {text("abcdef")}}
	for _, colour := range []bool{false, true} {
		var b bytes.Buffer
		(&printer{&b, colour}).table(rows, 1)
		got := strings.NewReplacer("\x1b[1m", "", "\x1b[0m", "").Replace(b.String())
		if want := "  日本     1  x\n  a       22  yy\n  abcdef\n"; got != want {
			t.Errorf("got\n%s want\n%s", got, want)
		}
	}
}

func TestJSON(t *testing.T) {
	var b bytes.Buffer
	p := &printer{w: &b}
	err := p.json(map[string]any{"a": number(math.NaN()), "b": number(math.Inf(1)), "c": number(0.1), "d": "<&>\u009b\u202e\U000e0001"})
	if err != nil {
		t.Fatal(err)
	}
	want := "{\n  \"a\": null,\n  \"b\": null,\n  \"c\": 0.1,\n  \"d\": \"<&>\\u009b\\u202e\\udb40\\udc01\"\n}\n"
	if b.String() != want {
		t.Errorf("got %s want %s", b.String(), want)
	}
}

func TestWords(t *testing.T) {
	for n, want := range map[int64]string{0: "0 bytes", 999: "999 bytes", 1000: "1 kB", 5436789: "5.44 MB", 497e6: "497 MB", 6.4e9: "6.4 GB", 5e15: "5e+03 TB"} {
		if got := size(n); got != want {
			t.Errorf("size(%d) = %q, want %q", n, got, want)
		}
	}
	for want, layers := range map[string][]int{"": nil, "3": {3}, "0-3,7": {0, 1, 2, 3, 7}, "0,2,4-5": {0, 2, 4, 5}} {
		if got := layerList(layers); got != want {
			t.Errorf("layerList(%v) = %q, want %q", layers, got, want)
		}
	}
	for p, want := range map[float64]string{0: "", 1: strings.Repeat("█", 16), 0.5: strings.Repeat("█", 8), 1.0 / 128: "▏", 0.25 + 7.0/128: "████▉"} {
		if got := bar(p); got != want {
			t.Errorf("bar(%v) = %q, want %q", p, got, want)
		}
	}
	if got := bar(math.NaN()); got != "" {
		t.Errorf("bar(NaN) = %q", got)
	}
}

// Each drawing shows every site of its kind of block with a mark for each operation, and its lines meet.
func TestPicture(t *testing.T) {
	layers := []int{0, 1}
	for _, tt := range []struct {
		parallel bool
		afterWO  string
		want     string
	}{{false, "", "●●○ attn_out"}, {true, "", "●●○ attn_out"}, {false, "norm", "out ── norm ── ●●○ attn_out"}, {true, "factor", "out ── × c ─── ●●○ attn_out"}} {
		parallel := tt.parallel
		d := &description{Layers: 2, Parallel: parallel, Ports: []models.ManifestPort{
			{Kind: models.PortAttnOut, IO: "out"}, {Kind: models.PortMemory, Layer: 1, IO: "in"}, {Kind: models.PortTau, Layer: 1, IO: "in"},
			{Kind: models.PortKeep, Site: models.PortZ, Layer: 1, IO: "in"},
		}, Baked: []models.Baked{{Site: models.PortResidPost, Keep: new(float64)}}}
		d.AfterWO = tt.afterWO
		for _, k := range models.Outputs() {
			s := siteInfo{Kind: k, Layers: layers}
			if k == models.PortPattern {
				s = siteInfo{Kind: k, Missing: []missing{{layers, "fused"}}}
			}
			s.Doc = k.Output().Doc
			d.Sites = append(d.Sites, s)
		}
		d.Inject = []siteInfo{{Kind: models.PortAttnOut, Layers: layers}, {Kind: models.PortMLPOut, Layers: layers[:1], Missing: []missing{{layers[1:], "none"}}}}
		d.Gate = []siteInfo{{Kind: models.PortZ, Layers: layers}, {Kind: models.PortResidPost, Layers: layers}, {Kind: models.PortAttnOut, Layers: layers}, {Kind: models.PortMLPOut, Missing: []missing{{layers, "none"}}}}
		var b bytes.Buffer
		d.picture(&printer{w: &b})
		got := b.String()
		for _, want := range []string{tt.want, "○·● z", "○·● resid_post", "×·· pattern", "○◐× mlp_out", "marks: expose, inject, gate\n", "◐ at some layers"} {
			if !strings.Contains(got, want) {
				t.Errorf("parallel %v: no %s\n%s", parallel, want, got)
			}
		}
		for _, k := range append(models.Outputs(), models.Sites()...) {
			if has := strings.Contains(got, " "+string(k)); has == (parallel && k == models.PortResidMid) {
				t.Errorf("parallel %v: %s is drawn: %v\n%s", parallel, k, has, got)
			}
		}
		b.Reset()
		d.printSites(&printer{w: &b})
		for _, want := range []string{
			"              expose  inject  gate\n", "  attn_out    ● all   ● all   ○ all   what attention adds", "  mlp_out     ○ all   ◐ 0     × none  what the MLP adds",
			"  pattern  expose  fused\n", "  mlp_out  inject  layer 1: none\n", "  mlp_out  gate    none\n",
		} {
			if !strings.Contains(b.String(), want) {
				t.Errorf("no %q\n%s", want, b.String())
			}
		}
		corner := -1
		for line := range strings.SplitSeq(got, "\n") {
			r := []rune(line)
			for i, c := range r {
				switch c {
				case '┐':
					corner = i
				case '┘':
					if i != corner {
						t.Errorf("parallel %v: ┘ in column %d, ┐ in column %d\n%s", parallel, i, corner, got)
					}
				}
			}
		}
	}
}
