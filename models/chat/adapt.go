package chat

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// The library for Jinja renders most of what chat templates use as transformers does. Here its gaps are closed, and what it would
// render in another way is refused:
//
//   - White space around tags follows Jinja's rules: trim_blocks, lstrip_blocks, -, + and the newline at the end. Texts become
//     variables, and no white space is left for the library to trim.
//   - What an expression gives is converted to text by [budget.text], as Python does it.
//   - Filters of [replaced] are ours.
//   - Only names and operators of the lists below are allowed. testdata/constructs.json shows that they are right.
//   - Loops and macros count their steps, and what a name is set to is measured: see [budget].
//
// A template that reads something undefined, or adds a number to a text, fails in transformers. Here it may give a text.

// own begins the names of what is added. Templates cannot use such names.
const own = "oi__"

// replaced lists the filters for which the library is wrong; see [filters].
var replaced = []string{"tojson", "default", "d", "first", "list", "trim", "join", "replace"}

var (
	allowedStatements = []string{"if", "elif", "else", "endif", "for", "endfor", "set", "endset", "macro", "endmacro", "break", "continue"}
	allowedFilters    = append([]string{"length", "count", "string", "upper", "lower", "title", "capitalize", "last", "selectattr", "rejectattr",
		"int", "items", "unique", "reverse", "max", "min", "e", "escape", "safe", "sort", "map", "wordcount"}, replaced...)
	allowedTests = []string{"defined", "undefined", "none", "string", "mapping", "iterable", "sequence", "number", "integer", "boolean", "true", "false", "odd", "even",
		"True", "False", "None"}
	allowedMethods = []string{"strip", "lstrip", "rstrip", "split", "startswith", "endswith", "upper", "lower", "replace", "find", "count", "title", "capitalize",
		"get", "items", "keys", "values", "cycle"}
	allowedOperators = []string{"(", ")", "[", "]", "{", "}", ",", ":", ".", "|", "=", "==", "!=", "<", ">", "<=", ">=", "+", "-", "~", "%"}
	noArguments      = []string{"sort", "map"} // filters that are right without arguments only, or with those of allowedArguments
	allowedArguments = []string{"attribute", "reverse"}
)

// program is a template in the form that the library gets.
type program struct {
	source string
	texts  []string // the values of the variables own + "0", …
}

// adapt rewrites a template for the library, or says what it cannot do.
func adapt(source string) (*program, error) {
	source = strings.TrimSuffix(strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(source), "\n")
	p, out := &program{}, strings.Builder{}
	inside := 0       // statements that are open
	lineStart := true // the text before is a line feed, which a tag may have removed
	for source != "" {
		at := opening.FindStringIndex(source)
		text, kind, sign := source, "", ""
		if at != nil {
			text, kind, sign = source[:at[0]], source[at[0]:at[0]+2], source[at[0]+2:at[1]]
			source = source[at[1]:]
		} else {
			source = ""
		}
		switch {
		case sign == "-":
			text = strings.TrimRight(text, space)
		case sign == "" && (kind == "{%" || kind == "{#"):
			line := strings.LastIndexByte(text, '\n') + 1
			if (line > 0 || lineStart) && strings.Trim(text[line:], space) == "" {
				text = text[:line]
			}
		}
		p.text(&out, text)
		if kind == "" {
			break
		}
		tag, rest, err := readTag(kind, source)
		if err != nil {
			return nil, err
		}
		if len(tag.tokens) == 1 && tag.tokens[0].text == "raw" && kind == "{%" {
			m := endRaw.FindStringSubmatchIndex(rest)
			if m == nil {
				return nil, errors.New("raw without endraw")
			}
			raw := rest[:m[0]]
			if tag.end == "-" {
				raw = strings.TrimLeft(raw, space)
			}
			if rest[m[2]:m[3]] == "-" {
				raw = strings.TrimRight(raw, space)
			} else if line := strings.LastIndexByte(raw, '\n') + 1; line > 0 && strings.Trim(raw[line:], space) == "" {
				raw = raw[:line]
			}
			p.text(&out, raw)
			tag.end, rest = rest[m[4]:m[5]], rest[m[1]:]
		} else if kind != "{#" {
			if err := tag.write(&out); err != nil {
				return nil, err
			}
			if inside += tag.opens(); inside > maxDepth {
				return nil, fmt.Errorf("more than %d statements inside each other", maxDepth)
			}
		}
		lineStart = false
		switch trimmed := strings.TrimLeft(rest, space); {
		case tag.end == "-":
			lineStart = strings.HasSuffix(rest[:len(rest)-len(trimmed)], "\n")
			rest = trimmed
		case tag.end == "" && kind != "{{" && strings.HasPrefix(rest, "\n"):
			rest, lineStart = rest[1:], true
		}
		source = rest
	}
	p.source = out.String()
	return p, nil
}

const space = " \t\n\v\f"

var (
	opening = regexp.MustCompile(`\{[{%#][-+]?`)
	endRaw  = regexp.MustCompile(`\{%([-+]?)\s*endraw\s*([-+]?)%\}`)
)

// text writes a text as a variable.
func (p *program) text(out *strings.Builder, text string) {
	if text != "" {
		fmt.Fprintf(out, "{{- %s%d -}}", own, len(p.texts))
		p.texts = append(p.texts, text)
	}
}

// tag is what is between the braces.
type tag struct {
	kind, end string // "{{", and the sign before the end
	tokens    []token
}

type token struct{ kind, text string } // a name, a number, a text or an operator

var tokens = regexp.MustCompile(`^(?:(?P<name>[A-Za-z_][A-Za-z_0-9]*)|(?P<number>[0-9][0-9A-Za-z_]*(?:\.[0-9]+)?)|(?P<text>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")|` +
	`(?P<op>==|!=|<=|>=|//|\*\*|[][(){}<>=+*/%~|.,:;-]))`)

// readTag reads up to the end of a tag and returns what follows. Ends inside texts and brackets do not count.
func readTag(kind, source string) (*tag, string, error) {
	t := &tag{kind: kind}
	closing := map[string]string{"{{": "}}", "{%": "%}", "{#": "#}"}[kind]
	if kind == "{#" {
		body, rest, found := strings.Cut(source, closing)
		if !found {
			return nil, "", errors.New("a comment without an end")
		}
		if n := len(body); n > 0 && (body[n-1] == '-' || body[n-1] == '+') {
			t.end = body[n-1:]
		}
		return t, rest, nil
	}
	depth := 0
	for {
		source = strings.TrimLeft(source, space)
		if depth == 0 {
			for _, sign := range []string{"-", "+", ""} {
				if rest, found := strings.CutPrefix(source, sign+closing); found && (sign != "+" || kind == "{%") {
					t.end = sign
					return t, rest, nil
				}
			}
		}
		m := tokens.FindStringSubmatch(source)
		if m == nil {
			return nil, "", fmt.Errorf("%s without %s, or an unknown character, before %q", kind, closing, cut(source))
		}
		for i, name := range tokens.SubexpNames() {
			if i > 0 && m[i] != "" {
				t.tokens = append(t.tokens, token{name, m[i]})
			}
		}
		switch m[0] {
		case "(", "[", "{":
			if depth++; depth > maxDepth {
				return nil, "", fmt.Errorf("more than %d brackets inside each other", maxDepth)
			}
		case ")", "]", "}":
			depth--
		}
		source = source[len(m[0]):]
	}
}

func cut(s string) string {
	if len(s) > 20 {
		s = s[:20]
	}
	return s
}

// write checks a tag and writes it for the library.
func (t *tag) write(out *strings.Builder) error {
	switch n := len(t.tokens); {
	case n == 0:
		return fmt.Errorf("an empty %s", t.kind)
	case n > maxTokens:
		return fmt.Errorf("a tag of %d words, want at most %d", n, maxTokens)
	}
	if t.kind == "{%" {
		switch first := t.tokens[0].text; {
		case first == "generation" && len(t.tokens) == 1:
			t.tokens = []token{{"name", "if"}, {"name", "true"}}
		case first == "endgeneration" && len(t.tokens) == 1:
			t.tokens = []token{{"name", "endif"}}
		case !slices.Contains(allowedStatements, first):
			return fmt.Errorf("the statement %q is not supported", first)
		}
	}
	var words []string
	for i, x := range t.tokens {
		if err := t.check(i); err != nil {
			return err
		}
		word := x.text
		if t.before(i) == "|" && slices.Contains(replaced, word) {
			word = own + word
		}
		words = append(words, word)
	}
	body := spaced(words)
	if t.kind == "{{" {
		fmt.Fprintf(out, "{{- %stext(%s) -}}", own, body)
	} else {
		fmt.Fprintf(out, "{%%- %s -%%}%s", body, t.counted())
	}
	return nil
}

// maxTokens limits the work of one tag, maxDepth the brackets and statements that are inside each other.
const maxTokens, maxDepth = 1000, 100

// counted returns what counts the steps of a statement and measures the values that it gives names to.
func (t *tag) counted() string {
	measure := func(names []token) string {
		var words []string
		for _, x := range names {
			words = append(words, x.text)
		}
		return fmt.Sprintf("{{- %ssize(%s) -}}", own, spaced(words))
	}
	switch t.tokens[0].text {
	case "for":
		return fmt.Sprintf("{{- %sstep() -}}", own)
	case "macro":
		out := fmt.Sprintf("{{- %scall() -}}", own)
		for i, x := range t.tokens {
			if before := t.before(i); x.kind == "name" && i > 2 && (before == "(" || before == ",") {
				out += measure([]token{x})
			}
		}
		return out
	case "set":
		if i := slices.IndexFunc(t.tokens, func(x token) bool { return x.text == "=" }); i > 1 {
			return measure(t.tokens[1:i])
		}
	}
	return ""
}

// shortTexts reports whether the arguments in the parenthesis at i are texts, the first of them not empty.
func (t *tag) shortTexts(i int) bool {
	if t.arguments(i) != 2 || i+4 >= len(t.tokens) || t.tokens[i+2].text != "," || t.tokens[i+4].text != ")" {
		return false
	}
	from, to := t.tokens[i+1], t.tokens[i+3]
	return from.kind == "text" && to.kind == "text" && len(from.text) > 2 && len(to.text) < 100
}

// opens is 1 for the start of a block, -1 for its end, and 0 for other tags.
func (t *tag) opens() int {
	if t.kind == "{{" {
		return 0
	}
	switch first := t.tokens[0].text; {
	case strings.HasPrefix(first, "end"):
		return -1
	case first == "if" || first == "for" || first == "macro" || first == "set" && !slices.ContainsFunc(t.tokens, func(x token) bool { return x.text == "=" }):
		return 1
	}
	return 0
}

// spaced joins words. Attributes need to touch their dot, and the library reads "}}" as an end.
func spaced(words []string) string {
	var b strings.Builder
	for i, w := range words {
		if i > 0 && w != "." && words[i-1] != "." && w != "(" {
			b.WriteByte(' ')
		}
		b.WriteString(w)
	}
	return b.String()
}

func (t *tag) before(i int) string {
	if i == 0 {
		return ""
	}
	return t.tokens[i-1].text
}

func (t *tag) after(i int) string {
	if i+1 >= len(t.tokens) {
		return ""
	}
	return t.tokens[i+1].text
}

var plainEscapes = regexp.MustCompile(`^(?:[^\\]|\\[nt\\'"])*$`)

// check refuses a token that the library does not know or would treat in another way.
func (t *tag) check(i int) error {
	x, before, after := t.tokens[i], t.before(i), t.after(i)
	is := before == "is" || before == "not" && i > 1 && t.tokens[i-2].text == "is"
	switch x.kind {
	case "number":
		if strings.Trim(x.text, "0123456789") != "" || len(x.text) > 15 {
			return fmt.Errorf("the number %s is not supported: want a whole number", x.text)
		}
	case "text":
		if !plainEscapes.MatchString(x.text) {
			return fmt.Errorf("the text %s has an escape that is not supported", x.text)
		}
	case "op":
		switch {
		case !slices.Contains(allowedOperators, x.text):
			return fmt.Errorf("the operator %s is not supported", x.text)
		case x.text == "%" && (i == 0 || t.tokens[i-1].kind == "text" || t.tokens[i-1].kind == "number" || i+1 >= len(t.tokens) || t.tokens[i+1].kind != "number"):
			return errors.New("the operator % is supported with a name on its left and a number on its right only")
		case x.text == "(" && t.isTuple(i):
			return errors.New("tuples are not supported")
		}
	case "name":
		switch {
		case strings.HasPrefix(x.text, own):
			return fmt.Errorf("the name %s is reserved", x.text)
		case before == "|" && !slices.Contains(allowedFilters, x.text):
			return fmt.Errorf("the filter %q is not supported", x.text)
		case before == "|" && slices.Contains(noArguments, x.text) && after == "(" && (i+2 >= len(t.tokens) || !slices.Contains(allowedArguments, t.tokens[i+2].text) || x.text == "sort" && t.tokens[i+2].text == "attribute"):
			return fmt.Errorf("the filter %q with these arguments is not supported", x.text)
		case is && x.text != "not" && !slices.Contains(allowedTests, x.text):
			return fmt.Errorf("the test %q is not supported", x.text)
		case before == "." && after == "(" && !slices.Contains(allowedMethods, x.text):
			return fmt.Errorf("the method %q is not supported", x.text)
		case before == "." && x.text == "replace" && after == "(" && !t.shortTexts(i+1):
			return errors.New("the method \"replace\" is supported with short texts only")
		case before == "." && x.text == "split" && after == "(" && t.arguments(i+1) > 1:
			return errors.New("the method \"split\" with a limit is not supported")
		case x.text == "recursive":
			return errors.New("recursive loops are not supported")
		case before != "." && (x.text == "self" || x.text == "lipsum" || x.text == "cycler" || x.text == "joiner"):
			return fmt.Errorf("the name %q is not supported", x.text)
		}
	}
	return nil
}

// isTuple reports whether the parenthesis at i holds a list of values and does not belong to a call.
func (t *tag) isTuple(i int) bool {
	if i > 0 {
		switch x := t.tokens[i-1]; {
		case x.text == ")" || x.text == "]":
			return false
		case x.kind == "name" && !slices.Contains([]string{"in", "and", "or", "not", "if", "elif", "else", "is"}, x.text):
			return false
		}
	}
	return t.arguments(i) != 1
}

// arguments counts the values in the parenthesis at i, and a comma after the last one as a value.
func (t *tag) arguments(i int) int {
	depth, commas := 0, 0
	for j := i; j < len(t.tokens); j++ {
		switch t.tokens[j].text {
		case "(", "[", "{":
			depth++
		case ")", "]", "}":
			if depth--; depth == 0 {
				if j == i+1 {
					return 0
				}
				return commas + 1
			}
		case ",":
			if depth == 1 {
				commas++
			}
		}
	}
	return commas + 1
}
