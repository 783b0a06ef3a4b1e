package hub

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/onnx-inject/onnx-inject/graph/base/atomicfile"
	"github.com/onnx-inject/onnx-inject/graph/base/hint"
)

// ErrChecksum is wrapped by the error for a file whose bytes do not match the hub's checksum.
var ErrChecksum = errors.New("wrong checksum")

// errOffline is the reason why no request was made.
var errOffline = errors.New("not in the cache")

// unreachable reports that no host, or a wrong host, is at an address.
type unreachable struct{ error }

func (u *unreachable) Unwrap() error { return u.error }

// refusal is an error response.
type refusal struct {
	status  int
	code    string // the hub's own error code: RepoNotFound, RevisionNotFound, EntryNotFound, GatedRepo
	message string
	host    string
}

func (r *refusal) Error() string {
	s := fmt.Sprintf("%s answered %d %s", r.host, r.status, http.StatusText(r.status))
	if r.message != "" {
		s += ": " + r.message
	}
	return s
}

// refused converts an error response to an error, which is temporary when a retry may succeed.
func refused(a *answer) error {
	r := &refusal{a.StatusCode, a.Header.Get("X-Error-Code"), a.Header.Get("X-Error-Message"), a.Request.URL.Host}
	if len(r.message) > 200 {
		r.message = r.message[:200] + "…"
	}
	switch r.status {
	case http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusBadGateway,
		http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return &temporary{r, retryAfter(a.Header)}
	}
	return r
}

// explain describes in the user's terms what an error means for a repository, and adds advice.
func (c *Client) explain(err error, l *Listing) error {
	var r *refusal
	var lost *unreachable
	var t *temporary
	switch {
	case errors.As(err, new(*atomicfile.Error)):
		return err
	case c.Offline:
		return hint.With(err, "HF_HUB_OFFLINE is set, so no network requests are made; unset it to download the missing files")
	case hint.Of(err) != "":
		return err
	case errors.Is(err, ErrChecksum):
		return hint.With(err, "no part of the file was kept; run the same command again; if the error persists, a proxy may be changing files in transit")
	case errors.As(err, &lost):
		return hint.With(fmt.Errorf("%s cannot be reached: %w", c.Endpoint, err),
			"check the network and HF_ENDPOINT; with HF_HUB_OFFLINE=1 no network requests are made and only cached files are used")
	case errors.As(err, &r):
		return c.explainRefusal(err, r, l)
	case errors.As(err, &t):
		return hint.With(err, "run the same command again: it resumes where it stopped")
	}
	return err
}

func (c *Client) explainRefusal(err error, r *refusal, l *Listing) error {
	const gated = "request access on the model's page, and set HF_TOKEN to a token of that account"
	switch {
	case r.code == "GatedRepo", r.status == http.StatusForbidden && r.code == "":
		return hint.With(fmt.Errorf("access is restricted: %w", err), gated)
	case r.code == "RevisionNotFound":
		return hint.With(fmt.Errorf("no revision %q: %w", l.Revision, err), "name a branch, a tag or a commit with --revision")
	case r.code == "EntryNotFound":
		return fmt.Errorf("no such file in the repository: %w", err)
	case r.status == http.StatusUnauthorized && c.Token != "":
		return hint.With(fmt.Errorf("no such repository, or the token gives no access to it: %w", err),
			"check the name, and the token in HF_TOKEN or left by a login")
	case r.status == http.StatusUnauthorized, r.status == http.StatusNotFound:
		advice := "check the name"
		if c.Token == "" {
			advice += "; a private model requires a token in HF_TOKEN"
		}
		return hint.With(fmt.Errorf("no such repository, or a private one: %w", err), advice)
	case r.status == http.StatusTooManyRequests:
		return hint.With(err, "wait a while and run the same command again; with a token in HF_TOKEN the hub allows more requests")
	case r.status >= 500:
		return hint.With(err, "the hub has a problem; run the same command again later: it resumes where it stopped")
	}
	return err
}
