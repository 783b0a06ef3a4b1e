// Package results is what an evaluation leaves behind: a folder of four files that other programs may read.
//
//	manifest.json   what was evaluated: model, data, tokenizer, grid, conventions, versions
//	cells.csv       one row a cell: prompt x layer x tau x memory
//	prompts.csv     one row a prompt: what the model says without a memory
//	summary.json    the statistics, written at the end
//
// A [Cell] holds the answer's probability with a memory; a [Prompt] holds it without one, for the two-hop prompt and,
// where the data has it, for the one-hop prompt, which is the ceiling of what a memory can do. A [Run] is a folder read
// back; runs that are shards of one evaluation merge into one.
//
// # Nothing is lost
//
// The prompt is the unit of work. Its cells are appended to cells.csv and synced, then its row to prompts.csv: that row
// is the commit. After a kill, whatever stands behind the last commit is cut off and computed again, so that an
// interrupted evaluation ends with the same bytes as one that was not. A lock keeps a second process out, and a
// manifest that differs from the one in the folder is refused with the differences.
package results
