// Package contrast makes steering vectors from pairs of texts that differ in one respect, such as "Act happy" and "Act sad". For
// every layer, it takes the activation of both texts of a pair at the last token, and finds the direction from the negative texts
// to the positive ones. Adding the direction, times a strength, at the same place moves the model to the positive side.
//
// With d the differences of the pairs, positive minus negative, the methods are:
//
//	mean        the mean of d: the distance between the two sides. Strength 1 moves a negative text, on average, to the
//	            positive side (Rimsky et al., arXiv 2312.06681)
//	pca         the first principal component of d, of length 1: how the differences vary around their mean. It is the
//	            method pca_diff of repeng, its default
//	pca_center  the first principal component of both texts of each pair around the middle of the pair, of length 1: along
//	            which direction the two sides lie, whatever the pairs are about. It is the method pca_center of repeng
//
// A principal component has no sign. It gets the sign for which most positive texts project higher than their negatives, as in
// repeng. Numbers are computed in double precision.
//
// # Which layer a direction belongs to
//
// Layers count from 0 here, in repeng and in llama.cpp. direction.l of a .gguf file is the direction of the residual stream
// after layer l (hook_resid_post), and is added there: repeng reads hidden_states[l+1] of transformers, which is the output of
// layer l, and adds to the output of that layer; llama.cpp adds it in the same place, as build_cvec of its graphs does. Both leave
// out layer 0, so a .gguf file begins with direction.1.
//
// Two things differ. For the last layer, transformers gives repeng the stream after the final norm; this package reads it before
// the norm, where the direction is added. And llama.cpp's own cvector-generator stores what it reads after layer l as
// direction.(l+1).
//
// Sources: repeng/extract.py; llama.cpp's src/llama-adapter.cpp, tools/cvector-generator.
package contrast
