package chat

import (
	"fmt"
	"strings"

	"github.com/ardanlabs/jinja"
)

// str writes a value as Python's str does: none is None, a text is itself, and something undefined is nothing.
func str(v jinja.Value) (string, error) {
	switch {
	case v.IsString():
		return v.AsString(), nil
	case v.IsUndefined():
		return "", nil
	}
	return repr(v)
}

// repr writes a value as Python's repr does: a text has quotes.
func repr(v jinja.Value) (string, error) {
	switch {
	case v.IsString():
		s := v.AsString()
		quote := "'"
		if strings.Contains(s, "'") && !strings.Contains(s, `"`) {
			quote = `"`
		}
		for _, r := range s {
			if r < ' ' || r > '~' {
				return "", fmt.Errorf("the text %q in a list or dictionary cannot be written as Python does", cut(s))
			}
		}
		return quote + strings.NewReplacer(`\`, `\\`, quote, `\`+quote).Replace(s) + quote, nil
	case v.IsList():
		var parts []string
		for _, x := range v.AsList().Items {
			s, err := repr(x)
			if err != nil {
				return "", err
			}
			parts = append(parts, s)
		}
		return "[" + strings.Join(parts, ", ") + "]", nil
	case v.IsDict():
		var parts []string
		for _, k := range v.AsDict().OrderedKeys() {
			x, _ := v.AsDict().Get(k)
			key, err := repr(jinja.NewString(k))
			if err != nil {
				return "", err
			}
			s, err := repr(x)
			if err != nil {
				return "", err
			}
			parts = append(parts, key+": "+s)
		}
		return "{" + strings.Join(parts, ", ") + "}", nil
	case v.IsNone(), v.IsBool(), v.IsInt():
		return v.String(), nil
	}
	return "", fmt.Errorf("a value that cannot be written as text: %s", v)
}
