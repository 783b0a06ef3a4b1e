// Package hub fetches model folders from the Hugging Face hub into the cache that the hub's own client keeps, so that both
// share their files.
//
// # The cache
//
// A repository is a git repository. Its files are kept by content, and every commit that was fetched is a folder of links:
//
//	<cache>/models--org--name/
//	    blobs/<etag>                      the bytes; <etag>.incomplete while they are on their way
//	    refs/main                         the commit that main stood for when it was last asked for
//	    snapshots/<commit>/config.json    → ../../blobs/<etag>
//	    snapshots/<commit>/onnx/model.onnx → ../../../blobs/<etag>
//	<cache>/.locks/models--org--name/<etag>.lock
//
// The cache is $HF_HUB_CACHE, else $HF_HOME/hub, else huggingface/hub in $XDG_CACHE_HOME or ~/.cache. Where the system makes no
// links, the file itself lies in the snapshot, as the hub's client does it. A file's etag is its checksum: the SHA-256 of what
// git-lfs keeps, and for small files the SHA-1 that git gives a blob. So a name under blobs says what must be in it, and
// [Client.Pull] compares before a file gets that name.
//
// # The protocol
//
// One request tells everything about a revision: its commit, and the names, sizes and checksums of its files
// (/api/models/REPO/revision/REV?blobs=true). What a hub leaves out is asked for by HEAD, file by file. Files are then asked for
// by commit, not by branch (/REPO/resolve/COMMIT/FILE): nothing changes half-way. The hub sends small files itself, with their
// ETag. For large ones it redirects to a host that stores them; X-Linked-Etag and X-Linked-Size stand in the redirect, and the
// signed address in it needs no token. The redirect is therefore followed by hand: the token goes to the hub and to nobody else.
//
// A transfer that was cut goes on with Range from the end of the part. If-Range carries the ETag of the server that sent
// the first bytes, as long as that is known; what was put together over several runs is held to the checksum.
//
// # The words
//
//   - A [Listing] is a commit with its files.
//   - The model is one ONNX file of these; its data are the files that hold its weights, by the locations that the graph names.
//   - A part is a file on its way: it can be thrown away at any time, and gets its name when it is whole, compared and on disk.
//
// # What always holds
//
//   - Under a file's own name stand all of its bytes or nothing.
//   - Fetched are config.json, generation_config.json, genai_config.json, the files of the tokenizer, chat templates, one ONNX file
//     and its data. Formats that hold code, such as .bin and .pt, never are, whatever a graph calls its data.
//   - Names from the network that could lead out of a folder are refused before anything is fetched.
package hub
