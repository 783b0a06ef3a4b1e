// Package rewrite changes a recognised decoder: it exposes values of the layers and adds inputs that steer the model.
//
// # Terms
//
//   - A kind is a value that can be exposed ([Kinds]).
//   - A port is an added input or output. [models.Port] and the manifest define its name and shape. All ports are float32,
//     whatever the type of the graph.
//   - A site is a value of a layer that can be changed ([models.Intervention]).
//   - A memory is a vector [d_model] that is added, times tau, at a site.
//
// The sites of a layer and the values around them are:
//
//	           ┌──────────────────── layer l ─────────────────────────────────────────────┐
//	resid_pre ─┬────────────────────────────────(+)── resid_mid ─┬───────────────────────(+)── resid_post
//	           │                                 │               │                        │
//	           └ ln_1 ─ heads ─ W_O ─ attn_out ─(+)              └ ln_2 ─ MLP ─ mlp_out ─(+)
//	                 │      │                    │                                        │
//	              pattern   z, result       tau × memory                             tau × memory
//
// # Invariants
//
//   - An exposed value is the model's own value after an Identity, so that no name of the exporter changes. A site is exposed
//     as the model computes it, before the memory at this site and after every memory upstream, in any order of requests.
//   - A memory reaches only the residual join. Every other reader of the site's value still gets the unchanged value.
//   - tau = 0 gives the original model: x + 0 * m is x for every finite m.
//   - The sum over heads of result, plus b_O, is out: attn_out, unless a norm or a factor follows W_O.
//   - In a merged decoder both branches get the ports.
//   - [Apply] makes all changes or none.
//
// A rewrite needs no weights and no runtime. It is plain Go code that works on the graph part of a file.
package rewrite
