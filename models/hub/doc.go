// Package hub downloads model folders from the Hugging Face hub into the cache of the hub's own client, so that both share
// the files.
//
// # The cache
//
// A repository is a git repository. The cache stores its files by content. Every downloaded commit is a folder of links:
//
//	<cache>/models--org--name/
//	    blobs/<etag>                      the bytes; <etag>.incomplete during the download
//	    refs/main                         the commit of main when it was last requested
//	    snapshots/<commit>/config.json    → ../../blobs/<etag>
//	    snapshots/<commit>/onnx/model.onnx → ../../../blobs/<etag>
//	<cache>/.locks/models--org--name/<etag>.lock
//
// The cache is $HF_HUB_CACHE, else $HF_HOME/hub, else huggingface/hub in $XDG_CACHE_HOME or ~/.cache. On systems without
// links, the file itself is stored in the snapshot, as the hub's client does. A file's etag is its checksum: the SHA-256 of
// files that git-lfs stores, and git's SHA-1 of a blob for small files. A name under blobs therefore determines the contents,
// and [Client.Pull] verifies the bytes before a file gets that name.
//
// # The protocol
//
// One request returns the whole description of a revision: its commit, and the names, sizes and checksums of its files
// (/api/models/REPO/revision/REV?blobs=true). Missing values are requested with HEAD, file by file. Files are then requested
// by commit, not by branch (/REPO/resolve/COMMIT/FILE), so that nothing changes during a pull. The hub sends small files
// itself, with their ETag. For large files it redirects to a host that stores them. X-Linked-Etag and X-Linked-Size are
// headers of the redirect, and the signed address in it needs no token. The client therefore follows redirects itself: it
// sends the token only to the hub.
//
// An interrupted transfer resumes with Range from the end of the part. If-Range carries the ETag of the server that sent the
// first bytes, when it is known. A file that was downloaded in several runs is verified against the checksum.
//
// # Terms
//
//   - A [Listing] is a commit with its files.
//   - The model is one ONNX file of the commit. Its data are the files that hold its weights, by the locations in the graph.
//   - A part is an incomplete file. It can be deleted at any time. It gets the file's name when it is complete, verified and
//     on disk.
//
// # Guarantees
//
//   - A file with its final name holds all of its bytes.
//   - Only config.json, generation_config.json, genai_config.json, the files of the tokenizer, chat templates, one ONNX file and its
//     data are downloaded. Formats that contain code, such as .bin and .pt, are never downloaded, even when a graph names them as
//     its data.
//   - Names from the network that could refer to a place outside a folder are refused before any download.
package hub
