package chat

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/ardanlabs/jinja"
)

func orDefault(args []jinja.Value, kwargs map[string]jinja.Value) (jinja.Value, error) {
	if len(args) < 1 || len(args) > 3 {
		return jinja.Undefined(), errors.New("default: want a value and whether it also replaces what counts as false")
	}
	value, other, boolean := args[0], jinja.NewString(""), false
	if len(args) > 1 {
		other = args[1]
	}
	if len(args) > 2 {
		boolean = args[2].IsTruthy()
	}
	for name, v := range kwargs {
		switch name {
		case "default_value":
			other = v
		case "boolean":
			boolean = v.IsTruthy()
		default:
			return jinja.Undefined(), fmt.Errorf("default: unknown argument %s", name)
		}
	}
	if value.IsUndefined() || boolean && !value.IsTruthy() {
		return other, nil
	}
	return value, nil
}

func first(args []jinja.Value, kwargs map[string]jinja.Value) (jinja.Value, error) {
	if len(args) != 1 || len(kwargs) > 0 {
		return jinja.Undefined(), errors.New("first: want no arguments")
	}
	switch v := args[0]; {
	case v.IsString() && v.AsString() != "":
		_, n := utf8.DecodeRuneInString(v.AsString())
		return jinja.NewString(v.AsString()[:n]), nil
	case v.IsList() && v.AsList().Len() > 0:
		return v.AsList().Get(0), nil
	}
	return jinja.Undefined(), nil
}

func list(args []jinja.Value, kwargs map[string]jinja.Value) (jinja.Value, error) {
	if len(args) != 1 || len(kwargs) > 0 {
		return jinja.Undefined(), errors.New("list: want no arguments")
	}
	var out []jinja.Value
	switch v := args[0]; {
	case v.IsList():
		return v, nil
	case v.IsDict():
		for _, k := range v.AsDict().OrderedKeys() {
			out = append(out, jinja.NewString(k))
		}
	case v.IsString():
		for _, r := range v.AsString() {
			out = append(out, jinja.NewString(string(r)))
		}
	case v.IsUndefined():
	default:
		return jinja.Undefined(), fmt.Errorf("list: want a list, got %s", v)
	}
	return jinja.NewList(out), nil
}

func trim(args []jinja.Value, kwargs map[string]jinja.Value) (jinja.Value, error) {
	if len(args) < 1 || len(args) > 2 || len(kwargs) > 0 || len(args) == 2 && !args[1].IsString() {
		return jinja.Undefined(), errors.New("trim: want at most one text")
	}
	s, err := str(args[0])
	if err != nil {
		return jinja.Undefined(), err
	}
	if len(args) == 2 {
		return jinja.NewString(strings.Trim(s, args[1].AsString())), nil
	}
	return jinja.NewString(strings.TrimFunc(s, isSpace)), nil
}

// isSpace reports what Python's str.strip removes: white space, and the separators of ASCII.
func isSpace(r rune) bool { return unicode.IsSpace(r) || 0x1c <= r && r <= 0x1f }

func join(args []jinja.Value, kwargs map[string]jinja.Value) (jinja.Value, error) {
	if len(args) < 1 || len(args) > 2 || len(kwargs) > 0 || len(args) == 2 && !args[1].IsString() {
		return jinja.Undefined(), errors.New("join: want at most one text")
	}
	between := ""
	if len(args) == 2 {
		between = args[1].AsString()
	}
	items, err := list(args[:1], nil)
	if err != nil {
		return jinja.Undefined(), err
	}
	var b strings.Builder
	for i, x := range items.AsList().Items {
		s, err := str(x)
		if err == nil && b.Len()+len(s)+len(between) > maxSize {
			err = errSize
		}
		if err != nil {
			return jinja.Undefined(), err
		}
		if i > 0 {
			b.WriteString(between)
		}
		b.WriteString(s)
	}
	return jinja.NewString(b.String()), nil
}

func replace(args []jinja.Value, kwargs map[string]jinja.Value) (jinja.Value, error) {
	if len(args) != 3 || len(kwargs) > 0 || !args[1].IsString() || !args[2].IsString() {
		return jinja.Undefined(), errors.New("replace: want two texts")
	}
	s, err := str(args[0])
	if err != nil {
		return jinja.Undefined(), err
	}
	from, to := args[1].AsString(), args[2].AsString()
	if strings.Count(s, from)*max(0, len(to)-len(from)) > maxSize {
		return jinja.Undefined(), errSize
	}
	return jinja.NewString(strings.ReplaceAll(s, from, to)), nil
}

// toJSON is the filter of transformers: json.dumps(value, ensure_ascii=False, indent=indent).
func toJSON(args []jinja.Value, kwargs map[string]jinja.Value) (jinja.Value, error) {
	indent := ""
	for name, v := range kwargs {
		if name != "indent" || !v.IsInt() || v.AsInt() < 0 || v.AsInt() > 16 {
			return jinja.Undefined(), fmt.Errorf("tojson: want indent of 0 to 16, got %s of %s", name, v)
		}
		indent = strings.Repeat(" ", int(v.AsInt()))
		if indent == "" {
			return jinja.Undefined(), errors.New("tojson: indent 0 is not supported")
		}
	}
	if len(args) != 1 {
		return jinja.Undefined(), errors.New("tojson: want named arguments")
	}
	var b strings.Builder
	err := writeJSON(&b, args[0], indent, "\n")
	return jinja.NewString(b.String()), err
}

// writeJSON writes one value. line is a line feed and the spaces of the current depth.
func writeJSON(b *strings.Builder, v jinja.Value, indent, line string) error {
	block := func(open, end string, n int, item func(int) error) error {
		b.WriteString(open)
		for i := range n {
			switch {
			case indent != "":
				if i > 0 {
					b.WriteString(",")
				}
				b.WriteString(line + indent)
			case i > 0:
				b.WriteString(", ")
			}
			if err := item(i); err != nil {
				return err
			}
		}
		if n > 0 && indent != "" {
			b.WriteString(line)
		}
		b.WriteString(end)
		return nil
	}
	switch {
	case v.IsNone():
		b.WriteString("null")
	case v.IsBool(), v.IsInt():
		b.WriteString(strings.ToLower(v.String()))
	case v.IsString():
		writeString(b, v.AsString())
	case v.IsList():
		items := v.AsList().Items
		return block("[", "]", len(items), func(i int) error { return writeJSON(b, items[i], indent, line+indent) })
	case v.IsDict():
		keys := v.AsDict().OrderedKeys()
		return block("{", "}", len(keys), func(i int) error {
			writeString(b, keys[i])
			b.WriteString(": ")
			x, _ := v.AsDict().Get(keys[i])
			return writeJSON(b, x, indent, line+indent)
		})
	default:
		return fmt.Errorf("tojson: a value that JSON does not have: %s", v)
	}
	return nil
}

// writeString writes a text in quotes. Python escapes control characters, quotes and backslashes, and nothing else.
func writeString(b *strings.Builder, s string) {
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteString(`\` + string(r))
		case r < ' ':
			quoted, _ := json.Marshal(string(r)) // a text cannot fail
			b.Write(quoted[1 : len(quoted)-1])
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
}
