// Package decoder opens decoders. A [Model] is read from disk once: its folder, its graph without the weights, its manifest.
// Sessions are opened on changed copies of the graph, which cost little, or on the file as it is on disk.
//
//	m, err := decoder.Open(path)
//	l, err := m.Locate(ctx)
//	s, err := m.Session(ctx, host, options, decoder.Apply(request))
//
// A session brings what is needed to run it: the layout of the changed graph, and what each of its inputs is for.
package decoder
