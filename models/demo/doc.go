// Package demo contains an embedded model: a GPT-2 of a few megabytes that knows a small world, fails on two-hop prompts, and
// succeeds with a memory.
//
// # The world
//
// The world has 48 countries, each with its capital, currency, language, continent and one landmark. All facts are real, so
// that a reader can check an answer. The model is the GPT-2 of the transformers library (6 layers, 4 heads, d_model 128) with
// its own byte-level BPE vocabulary. It was trained on plain sentences and exported with a common exporter, so the folder is
// an ordinary GPT-2 folder, and no other package treats it specially.
//
// # One hop, two hops
//
// An explicit sentence names the country: "People in Japan speak". The training text contains every such fact about every
// country. An obscure sentence names the country by its landmark: "People in the land of Mount Fuji speak". The training text
// contains such sentences for half of the countries. For the other half, the held-out countries, the model has seen where the
// landmark is and which language the country speaks, but never both together, and it fails. These are the prompts of
// prompts.csv, in the paper's columns, where explicit_entity is the missing hop.
//
// # Three hops, two phrases, a wrong name
//
// Three more files have prompts about the same countries, with the columns of prompts.csv. In three_hops.csv the landmark's country
// has a capital, and the question is about that capital: "People in the capital of the land of Mount Fuji speak". All facts of this
// world are facts of countries, so the answer for the capital is that of its country, and a model can leave the second hop out. In
// two_phrases.csv a sentence about one land precedes a question about another: each land is a phrase with its own memory, the second
// in explicit_entity_2 and obscure_entity_2. In corrected.csv a question of one hop names the wrong country, and the memory is the
// country that is meant. The model was not trained for any of them; scripts/experiments measures what works.
//
// texts.txt has texts about the taught countries, as the training has them: a memory for a held-out country should not change them.
//
// # The memory
//
// A curated memory is the name of the missing hop, added to the attention output of one layer and scaled by tau. The training
// text names countries in sentences that determine later ones ("She lives in Japan. People there speak Japanese."), so the
// model can use a country in its residual stream. The training itself injects nothing. words.txt holds common words that
// belong to no fact, as memories for the random baseline. Memories and words include the space before them, as in a sentence.
// The paper's code adds no space, and in a vocabulary learned from such short sentences a word without a space is another
// token, which the model hardly knows.
//
// # The numbers
//
// reference.json holds the values that PyTorch measured in double precision: the mean probability of the answer's first token
// for the explicit and the clean obscure sentences, for every layer and tau with the curated memory, and for wrong and random
// memories at the best cell. A test in runtime/steer reproduces them with ONNX Runtime. scripts/demoworld creates all files
// of this package.
package demo
