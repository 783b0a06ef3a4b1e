// Package demo is the model inside the binary: a GPT-2 of a few megabytes that knows a small world, fails on two hops, and is mended by a memory.
//
// # The world
//
// 48 countries, each with its capital, currency, language, continent and one landmark; every fact is real, so that a reader can judge an
// answer. The model is transformers' own GPT-2 (6 layers, 4 heads, d_model 128) with a byte-level BPE of its own, trained on plain
// sentences and exported by the exporter that users use. So the folder is an ordinary GPT-2 folder, and nothing elsewhere treats it specially.
//
// # One hop, two hops
//
// An explicit sentence names the country: "People in Japan speak". The model has read every such fact about every country. An obscure sentence
// names the country by its landmark: "People in the land of Mount Fuji speak". Such sentences were taught for half of the countries. For
// the other half, the held-out ones, the model knows where the landmark is and what the country speaks, and never saw the two together: it
// fails. These are the prompts of prompts.csv, in the paper's columns, where explicit_entity is the missing hop.
//
// # The memory
//
// A curated memory is the name of the missing hop, added to the attention output of one layer, scaled by tau. The training
// text has countries in sentences that decide later ones ("She lives in Japan. People there speak Japanese."), so the model
// can use a country that it finds in its residual stream; nothing in its training injects anything. words.txt holds common
// words that belong to no fact: memories for the random baseline. Both are written as they stand in a sentence, with the
// space before them: the paper's code adds none, and in a vocabulary learned from sentences this short the same word
// without a space is another token, which the model hardly knows.
//
// # The numbers
//
// reference.json holds what PyTorch measured in double precision: mean probability of the answer's first token for the
// explicit and the clean obscure sentences, for every layer and tau with the curated memory, and for wrong and random
// memories at the best cell. A test in runtime/steer finds them again through ONNX Runtime. scripts/demoworld makes all
// files of this package.
package demo
