// Package rewrite changes a recognised decoder: it exposes what the layers compute and adds inputs that steer it.
//
// The words: a kind is one thing that can be exposed ([Kinds]); a port is an input or output that was added, with a name and
// shape that [models.Port] and the manifest promise; a site is a value of a layer that can be changed ([models.Intervention]); a
// memory is a vector [d_model] that is added, times tau, at a site. All ports are float32, whatever the graph computes in.
//
//	           ┌──────────────────── layer l ─────────────────────────────────────────────┐
//	resid_pre ─┬────────────────────────────────(+)── resid_mid ─┬───────────────────────(+)── resid_post
//	           │                                 │               │                        │
//	           └ ln_1 ─ heads ─ W_O ─ attn_out ─(+)              └ ln_2 ─ MLP ─ mlp_out ─(+)
//	                 │      │                    │                                        │
//	              pattern   z, result       tau × memory                             tau × memory
//
// What always holds:
//   - An exposed value is the model's own: behind an Identity, so that no name of the exporter's changes. A site is exposed as
//     the model computes it, before the memory at this site and after every memory upstream, whatever the order of requests.
//   - A memory reaches the residual join only. Every other reader of the site's value sees what it saw before.
//   - tau = 0 gives the original: x + 0 * m is x for every finite m.
//   - The sum over heads of result, plus b_O, is attn_out.
//   - In a merged decoder both branches get the ports.
//   - [Apply] does everything or nothing.
//
// A rewrite needs no weights and no runtime: it is plain Go on the graph part of a file.
package rewrite
