// Package models has the words in which the others speak of a decoder like GPT-2: its layers and sites, the ports of a patched
// file, and the manifest that describes them. It never runs a graph and never changes one.
//
// # What a decoder looks like
//
// A text is a row of tokens. Each becomes a row of W_E, to which a row of W_pos is added (gpt-j turns its queries and keys
// instead). This vector of d_model numbers, one for each position, is the residual stream; every layer reads it through a
// norm and adds to it:
//
//	resid_pre ──┬─ norm ─ attention ── attn_out ──(+)── resid_mid ──┬─ norm ─ MLP ── mlp_out ──(+)── resid_post
//	            └──────────────────────────────────┘                └──────────────────────────┘
//
// The last resid_post goes through the final norm and W_U, and is then the logits. Within attention each head makes z, d_head
// numbers, and the head's rows of W_O turn z into what the head writes: result. Their sum plus the bias b_O is attn_out.
//
// # The words
//
//   - A [Layout] is what was recognised in a graph: the sizes, the layers in the order of the residual stream, and pointers to
//     the values and constants of the graph.
//   - A [Body] is a graph that holds the decoder. A merged file has two, the branches of an If.
//   - A [Site] is a place in a layer, such as attn_out, given as the sum of the values that make it up: fused operators keep
//     some sums to themselves.
//   - A join is the operand through which attention or the MLP enters the residual stream. A memory is added there and nowhere
//     else, so that attn_out or mlp_out itself, should someone read it, is what it was.
//   - An [Intervention] is a site that can be changed. A site is one literal in a table: its inputs with the numbers that change
//     nothing, and its join. What is exposed is the list beside it.
//   - A [Port] is an input or output that a rewrite adds: its name and shape, for an output by [PortKind], for an input by the site.
//   - The [Manifest] is the file's own account of its ports, in its metadata.
//
// # The packages
//
//	weights    a constant matrix in whichever form the file has it, and its numbers
//	recognise  finds a Layout in a graph, or says why there is none
//	inputs     what each graph input is for, and what to feed it
//	memory     makes the vector that is injected of a text
//	folder     a model with its config.json and tokenizer
//	tokenizer, vector, hub, demo    texts as tokens, vector files, models of the hub, a small model for trying things
//
// # What always holds
//
//   - Layers count from 0 in the order of the residual stream.
//   - A Layout belongs to the graph it was found in. After an edit, recognise it again.
//   - Nothing is decided by the name of a value; names of ports are the exception, and the manifest says which they are.
package models
