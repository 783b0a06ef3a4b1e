// Package models defines the terms in which other packages describe a decoder language model: its layers and sites, the ports
// of a patched file, and the manifest that describes them. It never runs a graph and never changes one.
//
// # The structure of a decoder
//
// A text is a sequence of tokens. Each token selects a row of W_E. Models with learned positions add a row of W_pos; others
// rotate queries and keys, or bias the attention scores. The resulting vector of d_model numbers, one vector for each
// position, is the residual stream. Every layer reads the stream through a norm and adds to it:
//
//	resid_pre ──┬─ norm ─ attention ── attn_out ──(+)── resid_mid ──┬─ norm ─ MLP ── mlp_out ──(+)── resid_post
//	            └──────────────────────────────────┘                └──────────────────────────┘
//
// The last resid_post passes through the final norm and W_U, which gives the logits. In attention, each head computes z,
// d_head numbers, and the head's rows of W_O turn z into the head's contribution, result. The sum of the results and the bias
// b_O is attn_out.
//
// # Terms
//
//   - A [Layout] is the result of recognising a graph: the sizes, the layers in the order of the residual stream, and pointers
//     to the values and constants of the graph.
//   - A [Body] is a graph that contains the decoder. A merged file has two, the branches of an If.
//   - A [Site] is a place in a layer, such as attn_out. It is given as a list of values whose sum it is, because fused
//     operators compute some sums internally.
//   - A join is the operand through which attention or the MLP enters the residual stream. A memory is added there and nowhere
//     else, so that attn_out and mlp_out themselves do not change for other readers.
//   - An [Intervention] is a site that can be changed. Each one is a literal in a table: its inputs with their neutral values,
//     and its join. A separate table lists the outputs that can be exposed.
//   - A [Port] is an input or output that a rewrite adds. Its name and shape follow from its [PortKind], and for an input also
//     from the site.
//   - The [Manifest] is a description of the ports in the metadata of the patched file.
//
// # Packages
//
//	weights    a constant matrix in any stored form, and its numbers
//	recognise  finds a Layout in a graph, or explains why there is none
//	inputs     the role of each graph input, and the tensors to feed it
//	memory     turns a text into the vector that is injected
//	folder     a model with its config.json and tokenizer
//	tokenizer, vector, hub, demo    tokens of texts, vector files, models of the hub, a small model for experiments
//
// # Invariants
//
//   - Layers count from 0 in the order of the residual stream.
//   - A Layout belongs to the graph it was found in. After an edit, recognise the graph again.
//   - Nothing is decided by the name of a value. The exceptions are names of ports, which the manifest lists.
package models
