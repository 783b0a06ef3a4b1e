package main

import (
	"github.com/onnx-inject/onnx-inject/models/hub"
)

type pullResult struct {
	Repo     string     `json:"repo"`
	Revision string     `json:"revision"`
	Commit   string     `json:"commit"`
	Folder   string     `json:"folder"`
	Model    string     `json:"model"` // path of the ONNX file
	Open     string     `json:"open"`  // the path for the other commands: the folder, or the file if the folder would open with another one
	Files    []pullFile `json:"files"`
}

type pullFile struct {
	Name   string `json:"name"` // path in the repository and in the folder
	Bytes  int64  `json:"bytes"`
	Etag   string `json:"etag"`             // the checksum that identifies the file on the hub and in the cache
	SHA256 string `json:"sha256,omitempty"` // the etag if it is a SHA-256; otherwise the etag is git's SHA-1 of the blob
	State  string `json:"state"`            // cached or fetched
}

func pullJSON(r hub.Request, p *hub.Pulled) pullResult {
	out := pullResult{Repo: r.Repo, Revision: r.Revision, Commit: p.Commit, Folder: p.Folder, Model: p.Model, Open: p.Open}
	for _, f := range p.Files {
		state := "cached"
		if f.Fetched {
			state = "fetched"
		}
		out.Files = append(out.Files, pullFile{f.Name, f.Size, f.Etag(), f.SHA256, state})
	}
	return out
}

type listResult struct {
	Repo     string     `json:"repo"`
	Revision string     `json:"revision"`
	Commit   string     `json:"commit"`
	Files    []listFile `json:"files"`
}

type listFile struct {
	Name    string `json:"name"`
	Bytes   int64  `json:"bytes"`      // -1 if the hub does not report the size
	Data    int64  `json:"data_bytes"` // size of the external data files that belong to it by name
	Default bool   `json:"default"`    // pull without --file downloads it
}

// listRepo shows the ONNX files of a repository.
func listRepo(c *call, client *hub.Client) error {
	l, err := client.List(c.ctx, c.args[0], c.String("revision"))
	if err != nil {
		return refused(err)
	}
	chosen, chooseErr := l.Choose("")
	out := listResult{Repo: l.Repo, Revision: l.Revision, Commit: l.Commit, Files: []listFile{}}
	for _, f := range l.ONNX() {
		file := listFile{Name: f.Name, Bytes: f.Size, Default: chooseErr == nil && f.Name == chosen.Name}
		for _, d := range l.Data(f) {
			file.Data += max(d.Size, 0)
		}
		out.Files = append(out.Files, file)
	}
	if len(out.Files) == 0 {
		return refused(chooseErr)
	}
	if c.Bool("json") {
		return c.out.json(out)
	}
	printList(c.out, out)
	return nil
}

func printList(p *printer, l listResult) {
	p.line(styled(bold, "%s", l.Repo), text(" at %s", l.Commit))
	var rows [][]span
	for _, f := range l.Files {
		bytes, mark := "?", text("")
		if f.Bytes >= 0 {
			bytes = size(f.Bytes)
		}
		if f.Data > 0 {
			bytes += " + " + size(f.Data)
		}
		if f.Default {
			mark = styled(dim, "the default without --file")
		}
		rows = append(rows, []span{text("%s", f.Name), text("%s", bytes), mark})
	}
	p.table(rows, 1)
}
