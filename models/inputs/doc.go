// Package inputs finds the purpose of each input of a model's graph, and makes the tensors to feed a run.
//
//   - A [Role] is the purpose of an input: tokens, a mask, positions, an empty cache, an added port. [Read] derives it from the
//     nodes that read the input, and uses its name only if several roles remain possible.
//   - The [Signature] of a model is the list of its inputs with their roles, in the order of the graph, and the sizes that the
//     file fixes.
//   - [Signature.Feeds] makes all inputs for a batch of prompts of equal length: the whole text at once, without a cache.
//   - [Signature.Step] makes the inputs for tokens that continue a text, and [Signature.Cache] names the outputs that become
//     inputs of the next step.
//
// An input that is not understood has [RoleUnknown]. A model with such an input can be patched, but feeding it is an error,
// because a guess would give wrong numbers.
package inputs
