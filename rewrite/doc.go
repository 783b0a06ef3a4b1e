// Package rewrite changes a recognised decoder: it exposes values of the layers and adds inputs that steer the model.
//
// # Terms
//
//   - A kind is a value that can be exposed ([Kinds]).
//   - A port is an added input or output. [models.Port] and the manifest define its name and shape. All ports are float32,
//     whatever the type of the graph.
//   - A site is a value x of a layer that can be changed to keep * x + tau * memory ([models.Intervention]).
//   - A memory is a vector that is added, times tau: [d_model], or [head, d_head] at the site z.
//   - A gate is the input keep, which multiplies the model's own value.
//
// The sites of a layer (*) and the values around them are:
//
//	            ┌──────────────────── layer l ─────────────────────────────────────────────┐
//	*resid_pre ─┬────────────────────────────────(+)── resid_mid ─┬───────────────────────(+)── *resid_post
//	            │                                 │               │                        │
//	            └ ln_1 ─ heads ─ W_O ─ *attn_out ─┘               └ ln_2 ─ MLP ─ *mlp_out ─┘
//	                  │      │
//	               pattern   *z, result
//
// # Invariants
//
//   - An exposed value is the model's own value after an Identity, so that no name of the exporter changes. A site is exposed
//     as the model computes it, before the change at this site and after every change upstream, in any order of requests.
//   - A change of attn_out or mlp_out reaches only the residual join. A change of z or of the stream reaches all that reads the
//     value, except for the ports that show it.
//   - keep = 1 and tau = 0 give the original model: x + 0 * x + 0 * m is x for finite x and m.
//   - The sum over heads of result, plus b_O, is out: attn_out, unless a norm or a factor follows W_O.
//   - In a merged decoder both branches get the ports.
//   - [Apply] makes all changes or none.
//
// A rewrite needs no weights and no runtime. It is plain Go code that works on the graph part of a file.
package rewrite
