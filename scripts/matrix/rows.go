package main

// row is one promise of the reliability matrices.
type row struct{ id, what string }

// rows are in the order in which they are printed.
var rows = []row{
	// A: model files that are hostile or broken
	{"A01", "An empty file, one byte, random bytes, a picture, a folder, a FIFO and an endless device are refused."},
	{"A02", "A model cut at any byte is refused, or is a valid prefix; there is no panic."},
	{"A03", "Broken varints, lengths, field numbers and wire types are refused; a varint with spare bytes is kept."},
	{"A04", "A field that may occur once and occurs twice is refused; dims both packed and unpacked are accepted."},
	{"A05", "Nesting is accepted as deep as ONNX Runtime accepts it and refused beyond; the stack stays small."},
	{"A06", "Functions that call each other in a cycle are refused; chains and names of operators are read as ONNX Runtime reads them."},
	{"A07", "Many nodes lead to a warning, too many to a refusal in under a second."},
	{"A08", "A long list of tiny messages is refused by count and within 64 MB of memory."},
	{"A09", "Dimensions that are negative, overflow or contradict the bytes are refused; zero is accepted."},
	{"A10", "Unknown tensor types and strings as raw bytes are refused; small types elsewhere in the graph are kept."},
	{"A11", "A tensor with two value fields is refused wherever it is."},
	{"A12", "A sparse initializer is kept or refused, and is never read as a weight."},
	{"A13", "Two values with one name are refused; a name of a subgraph may hide an outer one."},
	{"A14", "Cycles, missing producers and outputs without a producer are refused; an omitted input is accepted."},
	{"A15", "Names that the program gives are new, in the same way each time, and a rewritten file is known as one."},
	{"A16", "No name from a file reaches a terminal, a CSV cell or a file name unescaped."},
	{"A17", "Unknown opsets and domains are listed, and refused only where they must be understood."},
	{"A18", "Training information, large metadata and unknown fields are kept byte for byte."},
	{"A19", "A graph that only looks like a decoder is refused with the reason; nothing is chosen silently."},
	{"A20", "A model without causal attention is refused with a list of what was found."},

	// B: external data
	{"B01", "A location outside the model's folder is refused, and the file is not opened."},
	{"B02", "Links are followed only inside the model's folder, also when they change meanwhile."},
	{"B03", "The cache of the Hugging Face hub, where model and data are links, works."},
	{"B04", "Hard-linked data is read with a warning and never written."},
	{"B05", "Wrong offsets, lengths, keys and checksums are refused."},
	{"B06", "Ranges that overlap in part are refused; equal ranges, gaps and odd offsets are accepted."},
	{"B07", "Data that changed since rewrite is refused when the file runs."},
	{"B08", "Data beyond 4 GB works."},

	// C: files are written whole or not at all
	{"C01", "An output that is the input or its data, under any name, is refused."},
	{"C02", "An existing output is replaced only with --force, and remains until the new one is complete."},
	{"C03", "A kill at any instant of rewrite leaves the old or the new file, whole, and no litter for the next run."},
	{"C04", "A full disk, a file size limit and errors of sync and close are reported with the path; no half file remains."},
	{"C05", "Free space is checked before a copy is written."},
	{"C06", "A folder that is read-only, closed or gone is reported."},
	{"C07", "The same rewrite writes the same bytes, anywhere."},
	{"C08", "A rewrite without changes returns the bytes of the graph and leaves every tensor as it was."},

	// D: no row of an evaluation is lost, doubled or changed
	{"D01", "An evaluation killed at random instants and resumed equals one that was not interrupted."},
	{"D02", "SIGINT and SIGTERM finish the current prompt; a second one ends at once."},
	{"D03", "A row cut at any byte is dropped, reported and computed again."},
	{"D04", "A second process in the same folder is refused; the lock of a dead one is taken over."},
	{"D05", "An interrupted Parquet file is never read."},
	{"D06", "A resume with another model, data set, library or flag is refused with the differences."},
	{"D07", "A doubled key is refused and named."},
	{"D08", "Out of memory ends with a message and exit code 7, and the rows so far are kept."},
	{"D09", "Clock, time zone and locale change no row."},
	{"D10", "Cells with quotes, commas, line breaks, NUL and formulas are written so that every reader sees the text."},
	{"D11", "Broken prompt files are refused with the line number, or read by a documented rule."},

	// E: no wrong number looks right
	{"E01", "tau = 0 at every layer gives the bits of the original model."},
	{"E02", "A memory that changes nothing is reported with exit code 4."},
	{"E03", "The fan-out plan equals one run per cell."},
	{"E04", "The same cell twice, with other threads and in a batch, has the same numbers."},
	{"E05", "The outputs of the heads and the bias add up to the attention output."},
	{"E06", "A slow forward pass in plain Go and PyTorch's references agree with the host."},
	{"E07", "NaN and infinity in weights, memories, taus and scores are refused or marked, with exit code 8."},
	{"E08", "Log-softmax of extreme scores equals a reference of high precision."},
	{"E09", "Token ids out of range, prompts that are too long and empty prompts are refused."},
	{"E10", "The conventions of the paper's code are reproduced on its own data."},
	{"E11", "CUDA that was requested and is absent is an error; nothing falls back to the CPU."},

	// S: supply chain
	{"S01", "A library with one changed byte, a relative path or one that others can write is refused before it is loaded."},
	{"S02", "A library that is too old is refused with its version and the one that is needed."},
	{"S03", "Packages are downloaded by exact version without running their scripts, and their files have pinned sums."},
	{"S04", "The libraries that the Go binding carries for its own tests are never loaded."},
	{"S05", "Two builds in two folders have equal bytes, and the modules are those of go.sum."},
	{"S06", "Every module in the program is listed with its version, checksum and licence."},
	{"S07", "At most ten modules are required directly for the program, each with its reason."},
}
