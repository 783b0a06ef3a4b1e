// Package steer runs a decoder with and without a memory: what the verbs run, encode, verify and demo are made of.
//
// A [Model] is a model file or folder opened on a host. Where the file has no memory ports it is patched in memory,
// so that the same calls work on an exporter's file and on a patched one. Texts become tokens the way the paper does
// it: a prompt begins with the beginning-of-text token, a memory does not, and an answer counts by the first token of
// " " + answer.
//
// Probabilities are over the whole vocabulary at the last position, computed in float64 from the model's logits.
package steer
