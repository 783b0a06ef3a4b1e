// Package results stores the results of an evaluation: a folder of files that other programs may read.
//
//	manifest.json   what was evaluated: model, data, tokenizer, grid, conventions, versions
//	cells.csv       one row per cell: prompt x layer x tau x memory
//	prompts.csv     one row per prompt: the model's scores without a memory
//	summary.json    the statistics, written at the end
//
// An evaluation that measures side effects has one file more:
//
//	side_effects.csv   one row per text x layer x tau x memory: what a change does to a text that it should not change
//
// A [Cell] holds the answer's probability with a memory. A [Prompt] holds it without a memory, for the two-hop prompt and,
// when the data has one, for the one-hop prompt, which is the ceiling of the effect of a memory. A [Run] is a folder read
// into memory; runs that are shards of one evaluation merge into one.
//
// A prompt may have several memories, each for its own phrase. The columns explicit_entity and obscure_entity of prompts.csv hold the
// first, explicit_entity_2 and obscure_entity_2 the second, and so on. The memory of a cell then names all that it has, joined by " + ".
//
// The further columns of the data follow in prompts.csv, before the checksum, which covers them. The manifest has their names
// ([NameColumns]). Folders of earlier versions have none.
//
// # Texts and spreadsheets
//
// A text in a CSV file that begins with =, +, -, @, a tab or a carriage return has an apostrophe in front, because a spreadsheet
// would run it as a formula. So has a text of apostrophes before such a character: to read a text back, take one apostrophe
// away where only apostrophes are between the start and such a character. A number in a further column is as it is. Parquet files hold texts as they are.
//
// # Crash safety
//
// The prompt is the unit of work. Its cells are appended to cells.csv and synced, then its row is appended to prompts.csv:
// that row is the commit. After a crash, all bytes after the last commit are removed and computed again, so an interrupted
// evaluation ends with the same bytes as an uninterrupted one. In side_effects.csv the text is the unit: its last row has a
// checksum of all of them and is the commit. A lock excludes a second process. A manifest that differs
// from the manifest in the folder is refused with an error that lists the differences.
//
// # Damage
//
// The row of a prompt ends with a checksum of it and of its cells, and the manifest with a checksum of itself, so that every
// byte that changes later is found when the folder is read. A folder of an earlier version has no checksums; there the cells
// of a prompt must be the grid of the manifest, each once, and probabilities must fit log-probabilities, which is always
// checked.
package results
