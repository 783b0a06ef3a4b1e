// Package chat writes messages in the form that a model was trained on.
//
// A chat template is a program in the language Jinja that a model's folder contains. It gets the messages, the names of the
// special tokens, and whether the text is to end where the model's answer begins. What it writes is encoded without adding
// anything. [Load] finds the template, [Template.Render] runs it.
//
// The result is that of transformers, whose environment is Jinja's sandbox with trim_blocks and lstrip_blocks, the functions
// raise_exception and strftime_now, a filter tojson that escapes nothing, loop controls, and the tag generation, which has no
// effect on the text. The tests compare renderings. A construct that the library for Jinja does not know, or renders in another
// way, is refused by name: a prompt in another form would give other numbers without a warning.
//
// Templates come from the internet. Their size is limited, and so are the time and the memory that one may use.
package chat
