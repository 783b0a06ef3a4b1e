// Package capture stores what a model computes inside for every prompt of a file, in a folder that other programs read:
//
//	manifest.json        what was captured: model, prompts, hooks, conventions, versions
//	000000.safetensors   the values: one tensor per hook, named by it ("blocks.7.hook_attn_out"), first axis = rows
//	000001.safetensors   …
//	rows.parquet         one row per row of a tensor: prompt, position, token_id, token, shard, row, status
//
// A [Hook] is a value of the model: a kind of output at a layer. A row is the value of all hooks at one position of one prompt.
// Rows are in the order of the prompts and, within a prompt, of the positions. shard is the number of the file that has the row,
// and row is its index there. Python reads a file with safetensors.numpy.load_file, and rows.parquet with pandas. Package vector
// reads one row as DIR#HOOK[ROW], where ROW counts over all files.
//
// # One run for several prompts
//
// A run reads all weights, so prompts of equal length run as one batch. The first batch also runs prompt by prompt. When the
// values differ, as for a model that quantises activations by their range, every prompt runs alone. The manifest records the
// choice. A run computes nothing that the hooks do not need, see [Runner].
//
// # Crash safety
//
// Which rows a file has, and which prompts run together, depends only on the prompts and the model. A file is
// collected in a spool: each batch is appended with a checksum, and that record is the commit. When the last batch of a file is
// there, the file is written whole under its name, and the spool is emptied. A killed capture resumes after the last complete
// record, so it ends with the same bytes as an uninterrupted one. Memory holds one batch, however long the file of prompts is.
//
// A lock excludes a second process. A manifest that differs from the manifest in the folder is refused with an error that lists
// the differences. The metadata of each file holds a checksum of its values, which every later run with the same folder checks.
//
// # Numbers that are not finite
//
// A value that is NaN or infinite in the model is stored as it is. With float16, a value beyond 65504 becomes infinite. The column
// status of rows.parquet marks the row: nan, inf or overflow.
package capture
