package hub

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"os"
	"strings"
	"time"
)

// download is a file that is being downloaded into its part.
type download struct {
	c      *Client
	l      *Listing
	file   File
	part   *os.File
	sum    hash.Hash // checksum of the first at bytes
	at     int64
	report func(at int64)

	pieced    bool   // the part has bytes of more than one transfer
	validator string // strong ETag of the server that sent them, "" when unknown
}

// fetch downloads the missing bytes of a file into the part. The part is then complete, verified and on disk. from is a local
// copy to try first, or "".
func (c *Client) fetch(ctx context.Context, l *Listing, f File, part, from string, report func(at int64)) error {
	out, err := os.OpenFile(part, os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		return unwritten(part, err)
	}
	defer out.Close()
	d := &download{c: c, l: l, file: f, part: out, report: report}
	if err := d.resume(); err != nil {
		return err
	}
	if from != "" {
		if err := d.copy(ctx, from); err != nil {
			return err
		}
	}
	err = d.run(ctx)
	if err == nil {
		if err = out.Sync(); err != nil {
			err = unwritten(part, err)
		}
	}
	if errors.Is(err, ErrChecksum) {
		out.Close() // some systems refuse to remove open files
		os.Remove(part)
	}
	return err
}

func (d *download) run(ctx context.Context) error {
	for {
		err := d.c.retry(ctx, d.file.Name, func() (int64, error) {
			before := d.at
			err := d.transfer(ctx)
			return d.at - before, err
		})
		if err != nil {
			return err
		}
		if err = d.file.matches(d.sum); err == nil || !d.pieced {
			return err
		}
		// The pieces do not fit together: one is damaged or belongs to another file. Try again in one piece.
		d.c.log("%s: %v; restarting from the beginning", d.file.Name, err)
		if err := d.restart(); err != nil {
			return err
		}
	}
}

// resume continues with the part that an earlier run left.
func (d *download) resume() error {
	d.sum = d.file.newSum()
	n, err := io.Copy(d.sum, d.part)
	if err != nil {
		return unwritten(d.part.Name(), err)
	}
	if n > d.file.Size {
		return d.restart()
	}
	d.at, d.pieced = n, n > 0
	return nil
}

// restart discards the part.
func (d *download) restart() error {
	if err := d.part.Truncate(0); err != nil {
		return unwritten(d.part.Name(), err)
	}
	if _, err := d.part.Seek(0, io.SeekStart); err != nil {
		return err
	}
	d.sum, d.at, d.pieced, d.validator = d.file.newSum(), 0, false, ""
	d.report(0)
	return nil
}

// copy takes the bytes from a local file. If they are wrong, the network is used.
func (d *download) copy(ctx context.Context, path string) error {
	if err := d.restart(); err != nil {
		return err
	}
	in, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer in.Close()
	err = d.append(ctx, in)
	if errors.As(err, new(*temporary)) {
		return d.restart()
	}
	d.pieced = !d.c.Offline
	return err
}

// transfer requests the missing bytes and appends them to the part.
func (d *download) transfer(ctx context.Context) error {
	d.report(d.at)
	if d.at == d.file.Size {
		return nil
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	header := http.Header{}
	if d.at > 0 {
		header.Set("Range", fmt.Sprintf("bytes=%d-", d.at))
		if d.validator != "" {
			header.Set("If-Range", d.validator)
		}
	}
	a, err := d.c.ask(ctx, http.MethodGet, d.c.address(d.l, d.file), header)
	if err != nil {
		return err
	}
	defer a.Body.Close()
	if err := d.accept(a); err != nil {
		return err
	}
	body := &alive{a.Body, time.AfterFunc(stallTimeout, func() { cancel(errStalled) })}
	defer body.timer.Stop()
	if err := d.append(ctx, body); err != nil {
		return err
	}
	if d.at < d.file.Size {
		return &temporary{error: fmt.Errorf("the connection was cut at byte %d of %d", d.at, d.file.Size)}
	}
	return nil
}

// accept decides from the headers of a response what its body is: the whole file, or the missing bytes.
func (d *download) accept(a *answer) error {
	switch a.StatusCode {
	case http.StatusOK:
		if d.at > 0 { // the server does not support ranges, or its file differs according to If-Range
			if err := d.restart(); err != nil {
				return err
			}
		}
	case http.StatusPartialContent:
		want := fmt.Sprintf("bytes %d-%d/%d", d.at, d.file.Size-1, d.file.Size)
		if got := a.Header.Get("Content-Range"); got != want {
			if err := d.restart(); err != nil {
				return err
			}
			return &temporary{error: fmt.Errorf("requested %s, got %q", want, got)}
		}
		d.pieced = true
	case http.StatusRequestedRangeNotSatisfiable:
		if err := d.restart(); err != nil {
			return err
		}
		return &temporary{error: refused(a)}
	default:
		return refused(a)
	}
	if a.commit != "" && a.commit != d.l.Commit {
		return fmt.Errorf("requested commit %s, got %s", d.l.Commit, a.commit)
	}
	if n := a.ContentLength; n >= 0 && d.at+n != d.file.Size {
		return fmt.Errorf("want %d bytes, the server has %d", d.file.Size, d.at+n)
	}
	if etag := a.Header.Get("ETag"); strings.HasPrefix(etag, `"`) {
		d.validator = etag
	}
	return nil
}

// append writes a body after the existing bytes, but never more than the size of the file.
func (d *download) append(ctx context.Context, body io.Reader) error {
	buf := make([]byte, 256<<10)
	for {
		n, rerr := body.Read(buf)
		if int64(n) > d.file.Size-d.at {
			return fmt.Errorf("the server sent more than %d bytes", d.file.Size)
		}
		if n > 0 {
			if _, err := d.part.WriteAt(buf[:n], d.at); err != nil {
				return unwritten(d.part.Name(), err)
			}
			d.sum.Write(buf[:n])
			d.at += int64(n)
			d.report(d.at)
		}
		switch {
		case rerr == io.EOF:
			return nil
		case ctx.Err() != nil && !errors.Is(context.Cause(ctx), errStalled):
			return context.Cause(ctx)
		case ctx.Err() != nil:
			return &temporary{error: errStalled}
		case rerr != nil:
			return &temporary{error: fmt.Errorf("the connection was cut at byte %d of %d: %w", d.at, d.file.Size, rerr)}
		}
	}
}

var errStalled = fmt.Errorf("no byte arrived for %v", stallTimeout)

// alive is a body that must not stall for long.
type alive struct {
	io.Reader
	timer *time.Timer
}

func (a *alive) Read(p []byte) (int, error) {
	a.timer.Reset(stallTimeout)
	return a.Reader.Read(p)
}
