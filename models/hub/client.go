package hub

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Client downloads from one hub into one cache. Create it with [FromEnv] or [NewClient]; set the fields before its first use.
type Client struct {
	Endpoint string // address of the hub, without a slash at the end
	Cache    string // folder of the cache
	Token    string // "" gives access to public repositories only
	Offline  bool   // make no network requests; use only cached files
	Agent    string // User-Agent

	Progress func(Progress)                     // called while bytes arrive; may be nil
	Log      func(string)                       // receives messages about waiting; may be nil
	Room     func(dir string, need int64) error // returns an error when a folder has no room; may be nil

	http    *http.Client
	pause   func(context.Context, time.Duration) error
	symlink func(target, name string) error // os.Symlink; tests replace it to imitate systems without links
}

// Progress reports how far a pull is.
type Progress struct {
	File      string // being downloaded
	Done, All int64  // bytes of all files; files that were already present count in neither
}

// Timeouts after which a server counts as dead. A transfer has no time limit while bytes arrive.
const (
	connectTimeout = 15 * time.Second
	answerTimeout  = 60 * time.Second
	stallTimeout   = 60 * time.Second
)

// NewClient creates a client of the hub at an address, with a cache folder.
func NewClient(endpoint, cache string) *Client {
	t := http.DefaultTransport.(*http.Transport).Clone() // proxies come from the environment
	t.DialContext = (&net.Dialer{Timeout: connectTimeout}).DialContext
	t.TLSHandshakeTimeout, t.ResponseHeaderTimeout = connectTimeout, answerTimeout
	return &Client{
		Endpoint: strings.TrimRight(endpoint, "/"), Cache: cache, Agent: "onnx-inject",
		http:  &http.Client{Transport: t, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
		pause: pause, symlink: makeSymlink,
	}
}

// answer is the response of a server and what the hub reported before a redirect.
type answer struct {
	*http.Response
	commit, etag, size string // X-Repo-Commit, the file's etag and its size: from the hub's own responses, "" when absent
	foreign            bool   // the response is from another host
}

const maxRedirects = 10

// ask sends a request. It follows redirects itself, because the token is for the hub only: Go's client would also send it to
// every host below the hub's name. A HEAD request ends at the hub.
func (c *Client) ask(ctx context.Context, method, address string, header http.Header) (*answer, error) {
	if c.Offline {
		return nil, errOffline
	}
	a := &answer{}
	for range maxRedirects {
		u, err := url.Parse(address)
		if err != nil {
			return nil, err
		}
		req, err := http.NewRequestWithContext(ctx, method, address, nil)
		if err != nil {
			return nil, err
		}
		if header != nil {
			req.Header = header.Clone()
		}
		req.Header.Set("User-Agent", c.Agent)
		req.Header.Set("Accept-Encoding", "identity") // sizes and ranges refer to the file itself
		a.foreign = !c.own(u)
		if c.Token != "" && !a.foreign {
			req.Header.Set("Authorization", "Bearer "+c.Token)
		}
		resp, err := c.http.Do(req)
		if err != nil {
			return nil, unsent(err)
		}
		if !a.foreign {
			a.note(resp)
		}
		to, err := resp.Location()
		if err != nil || resp.StatusCode/100 != 3 || method == http.MethodHead && !c.own(to) {
			a.Response = resp
			return a, nil
		}
		resp.Body.Close()
		if to.Scheme != u.Scheme && to.Scheme != "https" {
			return nil, fmt.Errorf("the hub redirects to %s: an unsafe address", to.Redacted())
		}
		address = to.String()
	}
	return nil, fmt.Errorf("more than %d redirects", maxRedirects)
}

// own reports whether an address belongs to the hub.
func (c *Client) own(u *url.URL) bool {
	e, err := url.Parse(c.Endpoint)
	return err == nil && u.Scheme == e.Scheme && strings.EqualFold(u.Host, e.Host)
}

// note records what the hub reports about a file. Headers about the target of a redirect override those about the redirect.
func (a *answer) note(resp *http.Response) {
	set := func(into *string, names ...string) {
		for _, n := range names {
			if v := resp.Header.Get(n); *into == "" {
				*into = v
			}
		}
	}
	set(&a.commit, "X-Repo-Commit")
	set(&a.etag, "X-Linked-Etag")
	set(&a.size, "X-Linked-Size")
	if resp.StatusCode == http.StatusOK {
		set(&a.etag, "ETag")
		set(&a.size, "Content-Length")
	}
	a.etag = strings.Trim(strings.TrimPrefix(a.etag, "W/"), `"`)
}

// unsent explains why a request got no response, and whether to retry: not when no host, or a wrong one, is at the address.
func unsent(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	var dns *net.DNSError
	var op *net.OpError
	var cert *tls.CertificateVerificationError
	switch {
	case errors.As(err, &dns) && dns.IsNotFound, errors.As(err, &op) && op.Op == "dial", errors.As(err, &cert):
		return &unreachable{err}
	}
	return &temporary{error: err}
}
