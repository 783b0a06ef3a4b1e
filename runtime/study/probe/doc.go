// Package probe asks a model two-hop questions and the questions that they consist of, and sorts the prompts by what the model
// gets right. It changes nothing in the model.
//
// # What is asked
//
// "The largest coral reef system in the world is located off the coast of" needs two facts. For each prompt there are up to three
// runs:
//
//	two hops   the prompt itself                                                  the answer's rank and probability
//	hop 2      the one-hop prompt, "The Great Barrier Reef is located off …"      the answer's rank and probability
//	hop 1      the description and " is": "the largest coral reef system … is"    the entity's rank and probability
//
// A rank is the number of tokens that are more likely: 0 is the model's own choice. An answer counts by the first token of " " +
// answer, and an entity by the first token of " " + entity. The gap is the answer's log-probability after the one-hop prompt minus
// that after the two-hop prompt, in nats.
//
// Hop 1 is asked in one form of many, and many entities share a first token (" The"). A low rank there does not show that the model
// cannot find the entity, and no class depends on it.
//
// # Classes
//
// [Classes] lists them in the order in which they are tested; the first that fits is the prompt's class.
//
// # What is not established
//
// "Can be corrected" says that the model knows the answer better when the hop is spelled out. It does not say that a memory
// corrects the two-hop prompt: that needs a run with the memory. Where hop 1 was measured, its rank did not predict which two-hop
// prompts succeed; [Report.Hop1] has the counts, so that this can be seen for each model. The limit of rank 10 in "lacks hop 2" is a
// convention.
package probe
