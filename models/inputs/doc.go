// Package inputs knows what each input of a model's graph is for, and makes the tensors that a run is fed.
//
//   - A [Role] is what an input is for: tokens, a mask, positions, an empty cache, a port of ours. [Read] finds it by what reads
//     the input, and by its name only where that leaves a choice.
//   - The [Signature] of a model is its inputs with their roles, in the order of the graph, and the sizes that the file fixes.
//   - [Signature.Feeds] makes all inputs for a batch of prompts of equal length: the whole text at once, without a cache.
//
// An input that is not understood has [RoleUnknown]. Such a model can be patched, and it is an error to feed it: a guess would
// give wrong numbers.
package inputs
