package chat

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ardanlabs/jinja"

	"github.com/onnx-inject/onnx-inject/graph/base/hint"
)

// Message is one turn of a conversation.
type Message struct {
	Role    string // "system", "user" or "assistant"
	Content string
}

// Template is a chat template and the special tokens that it may name.
type Template struct {
	program *program
	tokens  map[string]string // "bos_token" and others
	now     func() time.Time
	limit   time.Duration // of one rendering
}

// maxSource is the largest template in bytes. Templates in use have up to 20 kB.
const maxSource = 256 << 10

// Parse makes a template of its source.
func Parse(source string, tokens map[string]string) (*Template, error) {
	if len(source) > maxSource {
		return nil, fmt.Errorf("chat template: want at most %d bytes, got %d", maxSource, len(source))
	}
	p, err := adapt(source)
	if err != nil {
		return nil, hint.With(fmt.Errorf("chat template: %w", err), "write the prompt in the model's form yourself, without --chat")
	}
	return &Template{program: p, tokens: tokens, now: time.Now, limit: maxTime}, nil
}

// Render returns the text of a conversation. With answer, the text ends where the answer of the model begins.
func (t *Template) Render(messages []Message, answer bool) (string, error) {
	var list []jinja.Value
	for _, m := range messages {
		list = append(list, dict("role", jinja.NewString(m.Role), "content", jinja.NewString(m.Content)))
	}
	return t.render(map[string]jinja.Value{"messages": jinja.NewList(list), "add_generation_prompt": jinja.NewBool(answer)})
}

// render runs the template with variables in addition to those that transformers always sets.
func (t *Template) render(more map[string]jinja.Value) (string, error) {
	vars := map[string]jinja.Value{
		"tools": jinja.None(), "documents": jinja.None(),
		"strftime_now": jinja.NewCallable("strftime_now", t.strftime),
	}
	for name, f := range newBudget(t.limit).functions() {
		vars[name] = jinja.NewCallable(name, f)
	}
	for i, text := range t.program.texts {
		vars[fmt.Sprint(own, i)] = jinja.NewString(text)
	}
	for name, token := range t.tokens {
		vars[name] = jinja.NewString(token)
	}
	for name, v := range more {
		vars[name] = v
	}
	text, err := run(t.program.source, vars)
	if err != nil {
		return "", fmt.Errorf("chat template: %w", err)
	}
	return text, nil
}

// run keeps a fault of the library inside.
func run(source string, vars map[string]jinja.Value) (text string, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("the library for Jinja failed: %v", r)
		}
	}()
	compiled, err := jinja.Compile(source)
	if err != nil {
		return "", err
	}
	return compiled.RenderValues(vars)
}

// dict makes a dictionary whose keys keep their order.
func dict(pairs ...any) jinja.Value {
	d := jinja.NewDict()
	for i := 0; i < len(pairs); i += 2 {
		d.AsDict().Set(pairs[i].(string), pairs[i+1].(jinja.Value))
	}
	return d
}

// layouts are the directives of strftime in the C locale, as layouts of package time.
var layouts = map[byte]string{
	'a': "Mon", 'A': "Monday", 'b': "Jan", 'B': "January", 'd': "02", 'e': "_2", 'H': "15", 'I': "03", 'j': "002", 'm': "01", 'M': "04", 'p': "PM", 'S': "05",
	'y': "06", 'Y': "2006", 'F': "2006-01-02", 'T': "15:04:05", '%': "%",
}

func (t *Template) strftime(args []jinja.Value, _ map[string]jinja.Value) (jinja.Value, error) {
	if len(args) != 1 || !args[0].IsString() {
		return jinja.Undefined(), errors.New("strftime_now: want one text")
	}
	format, now := args[0].AsString(), t.now()
	var b strings.Builder
	for i := 0; i < len(format); i++ {
		if format[i] != '%' {
			b.WriteByte(format[i])
			continue
		}
		i++
		if i == len(format) {
			return jinja.Undefined(), fmt.Errorf("strftime_now %q: a lone %%", format)
		}
		layout, ok := layouts[format[i]]
		if !ok {
			return jinja.Undefined(), fmt.Errorf("strftime_now %q: unknown directive %%%c", format, format[i])
		}
		if layout == "%" {
			b.WriteByte('%')
			continue
		}
		b.WriteString(now.Format(layout))
	}
	return jinja.NewString(b.String()), nil
}
