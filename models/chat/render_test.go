package chat

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ardanlabs/jinja"
)

type expected struct {
	Conversations map[string]json.RawMessage
	Today         string
	Tokens        map[string]string
	Templates     map[string]map[string]rendering
	Constructs    map[string]rendering
}

type rendering struct{ Text, Error *string }

func readExpected(t *testing.T) (e expected) {
	t.Helper()
	data, err := os.ReadFile("testdata/expected.json")
	if err == nil {
		err = json.Unmarshal(data, &e)
	}
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// value reads JSON and keeps the order of keys.
func value(t *testing.T, d *json.Decoder) jinja.Value {
	t.Helper()
	tok, err := d.Token()
	if err != nil {
		t.Fatal(err)
	}
	switch tok {
	case json.Delim('{'):
		out := jinja.NewDict()
		for d.More() {
			key, err := d.Token()
			if err != nil {
				t.Fatal(err)
			}
			out.AsDict().Set(key.(string), value(t, d))
		}
		d.Token()
		return out
	case json.Delim('['):
		var list []jinja.Value
		for d.More() {
			list = append(list, value(t, d))
		}
		d.Token()
		return jinja.NewList(list)
	}
	return jinja.FromGoValue(tok)
}

func (e expected) render(t *testing.T, source, conversation string) (string, error) {
	t.Helper()
	x, err := Parse(source, e.Tokens)
	if err != nil {
		return "", err
	}
	today, err := time.Parse("2006-01-02T15:04:05", e.Today)
	if err != nil {
		t.Fatal(err)
	}
	x.now = func() time.Time { return today }
	vars := map[string]jinja.Value{}
	v := value(t, json.NewDecoder(bytes.NewReader(e.Conversations[conversation])))
	for _, key := range v.AsDict().OrderedKeys() {
		vars[key], _ = v.AsDict().Get(key)
	}
	return x.render(vars)
}

// Templates like those of published models give what transformers gives, and refuse what transformers refuses.
func TestTemplates(t *testing.T) {
	e := readExpected(t)
	for name, conversations := range e.Templates {
		source, err := os.ReadFile(filepath.Join("testdata", name+".jinja"))
		if err != nil {
			t.Fatal(err)
		}
		for conversation, want := range conversations {
			got, err := e.render(t, string(source), conversation)
			switch {
			case want.Error != nil && err == nil:
				t.Errorf("%s, %s: got %q, want an error: %s", name, conversation, got, *want.Error)
			case want.Error == nil && err != nil:
				t.Errorf("%s, %s: %v", name, conversation, err)
			case want.Error == nil && got != *want.Text:
				t.Errorf("%s, %s:\n got %q\nwant %q", name, conversation, got, *want.Text)
			}
		}
	}
}

// These differ from transformers, and nothing here can see it: the library has no tuples, and none is nothing to it beside ~.
var differs = map[string]string{
	"{{ {'a': 1} | items | list }}":    "[['a', 1]]",
	"{{ messages[0].items() | list }}": "[['role', 'user'], ['content', '1']]",
	"{{ 1 ~ 'x' ~ none ~ true }}":      "1xTrue",
	"{{ 1 == true }}":                  "False",
	"{{ 'ß' | upper }}":                "ß",
	"{{ 'a' + 1 }}":                    "a1", // an error in transformers, like those below
	"{{ none + 'a' }}":                 "a",
	"{{ nothing + 'a' }}":              "a",
	"{{ nothing.x }}":                  "",
	"{{ nothing.x is defined }}":       "False",
	"{{ messages[7].role }}":           "",
	"{{ none | length }}":              "0",
}

// A construct gives what transformers gives, or is refused.
func TestConstructs(t *testing.T) {
	e := readExpected(t)
	same := 0
	for source, want := range e.Constructs {
		got, err := e.render(t, source, "three turns")
		if other, ok := differs[source]; ok {
			if err != nil || got != other || want.Text != nil && got == *want.Text {
				t.Errorf("%q: got %q, %v, want the known difference %q", source, got, err, other)
			}
			continue
		}
		switch {
		case want.Error != nil && err == nil:
			t.Errorf("%q: got %q, want an error: %s", source, got, *want.Error)
		case want.Error == nil && err == nil && got != *want.Text:
			t.Errorf("%q:\n got %q\nwant %q", source, got, *want.Text)
		case want.Error == nil && err != nil && !strings.Contains(err.Error(), "support") && !strings.Contains(err.Error(), "jinja parse: ") && !strings.Contains(err.Error(), "tojson: want"):
			t.Errorf("%q is refused without a reason: %v", source, err)
		case want.Error == nil && err == nil:
			same++
		}
	}
	if same < 110 {
		t.Errorf("only %d constructs of %d are supported", same, len(e.Constructs))
	}
}

// What transformers can render and this package cannot is refused with the reason.
func TestRefusals(t *testing.T) {
	for source, want := range map[string]string{
		"{{ ['é'] }}":                     `the text "é" in a list or dictionary cannot be written as Python does`,
		"{{ {'é': 1} }}":                  `the text "é" in a list or dictionary`,
		"{{ {'a': ['é']} }}":              `the text "é" in a list or dictionary`,
		"{{ ['é'] | trim }}":              `the text "é" in a list or dictionary`,
		"{{ ['é'] | replace('a', 'b') }}": `the text "é" in a list or dictionary`,
		"{{ [['é']] | join }}":            `the text "é" in a list or dictionary`,
		"{{ strftime_now('100%') }}":      "a lone %",
		"{{ strftime_now('%d %Q') }}":     "unknown directive %Q",
		"{{ strftime_now }}":              "a value that cannot be written as text",
	} {
		x, err := Parse(source, nil)
		if err == nil {
			_, err = x.Render([]Message{{"user", "hi"}}, true)
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want an error with %q", source, err, want)
		}
	}
}

// A template cannot take more time or memory than its budget, and cannot end the program.
func TestHostileTemplates(t *testing.T) {
	deep := func(open, body, end string) string {
		return strings.Repeat(open, 5000) + body + strings.Repeat(end, 5000)
	}
	double := "{% set x = 'abcdefgh' %}" + strings.Repeat("{% set x = x ~ x %}", 60)
	for source, want := range map[string]string{
		"{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}":                      "steps",
		"{% set r = range(100000) %}{% for i in r %}{% for j in r if false %}{% endfor %}{% endfor %}":          "longer than",
		"{% for i in range(1000000000000) %}{% endfor %}":                                                       "range",
		"{% for i in range(100000) %}{{ 'a long text that is written again and again and again' }}{% endfor %}": "more than",
		"{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}":                                                       "calls of macros",
		"{% macro m(a) %}{{ m(a ~ a) }}{% endmacro %}{{ m('abcd') }}":                                           "more than",
		double + "{{ x }}": "more than",
		"{% set ns = namespace(x='abcd') %}{% for i in range(99) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}": "more than",
		"{% set x = [1] %}" + strings.Repeat("{% set x = [x, x] %}", 60) + "{{ x | tojson }}":                "more than",
		"{{ range(100000) | join(messages[0].content) }}":                                                    "more than",
		"{{ messages[0].content | replace('', messages[0].content) }}":                                       "more than",
		"{{ messages[0].content.replace('', 'x') }}":                                                         "short texts",
		"{{ " + deep("(", "1", ")") + " }}":                                                                  "inside each other",
		"{{ " + deep("[", "1", "]") + " }}":                                                                  "inside each other",
		deep("{% if true %}", "x", "{% endif %}"):                                                            "inside each other",
		"{{ " + strings.Repeat("not ", 5000) + "1 }}":                                                        "words",
		"{{ " + strings.Repeat("'a' ~ ", 5000) + "1 }}":                                                      "words",
		strings.Repeat("x", maxSource+1):                                                                     "want at most",
		"{{ oi__0 }}":                                                                                        "reserved",
		"{{ 'a' | oi__tojson }}":                                                                             "reserved",
		"{%- for message in messages -%}{{ message.__class__ }}{{ undefined_function() }}{%- endfor -%}":     "callable",
		"{{ '\\x00' }}": "escape",
		"{{ \\x00 }}":   "unknown character",
	} {
		start := time.Now()
		x, err := Parse(source, nil)
		if err == nil {
			if want != "longer than" {
				x.limit = time.Minute // on a busy machine a second can end before the limit that is tested
			}
			_, err = x.Render([]Message{{"user", strings.Repeat("text ", 2000)}}, true)
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60q: got %v, want an error with %q", source, err, want)
		}
		if took := time.Since(start); want != "steps" && took > maxTime+time.Second {
			t.Errorf("%.60q took %v", source, took)
		}
	}
}

// Whatever a template is, it is rendered or refused.
func FuzzParse(f *testing.F) {
	e := struct{ Constructs map[string]any }{}
	data, err := os.ReadFile("testdata/expected.json")
	if err == nil {
		err = json.Unmarshal(data, &e)
	}
	if err != nil {
		f.Fatal(err)
	}
	for source := range e.Constructs {
		f.Add(source)
	}
	f.Fuzz(func(t *testing.T, source string) {
		if x, err := Parse(source, map[string]string{"bos_token": "<s>"}); err == nil {
			x.Render([]Message{{"user", "hello"}}, true)
		}
	})
}
