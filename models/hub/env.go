package hub

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/onnx-inject/onnx-inject/graph/base/hint"
)

// publicHub is the default hub; HF_ENDPOINT names another one.
const publicHub = "https://huggingface.co"

// FromEnv creates a client from the variables of the hub's own client, with the same meaning: HF_ENDPOINT, HF_TOKEN (and
// HF_TOKEN_PATH, HF_HOME/token), HF_HUB_CACHE, HF_HOME, XDG_CACHE_HOME, HF_HUB_OFFLINE.
func FromEnv(getenv func(string) string) (*Client, error) {
	endpoint := strings.TrimRight(getenv("HF_ENDPOINT"), "/")
	if endpoint == "" {
		endpoint = publicHub
	}
	if u, err := url.Parse(endpoint); err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && u.Scheme != "http" {
		return nil, fmt.Errorf("HF_ENDPOINT: want an address such as %s, without a user's name", publicHub)
	}
	home, err := homeDir(getenv)
	if err != nil {
		return nil, err
	}
	cache := expand(getenv("HF_HUB_CACHE"), getenv)
	if cache == "" {
		cache = filepath.Join(home, "hub")
	}
	if cache, err = filepath.Abs(cache); err != nil {
		return nil, err
	}
	token, err := readToken(getenv, home)
	if err != nil {
		return nil, err
	}
	c := NewClient(endpoint, cache)
	c.Token, c.Offline = token, isTrue(getenv("HF_HUB_OFFLINE"))
	return c, nil
}

// homeDir is the data folder of the hub's client.
func homeDir(getenv func(string) string) (string, error) {
	if dir := expand(getenv("HF_HOME"), getenv); dir != "" {
		return dir, nil
	}
	if dir := expand(getenv("XDG_CACHE_HOME"), getenv); dir != "" {
		return filepath.Join(dir, "huggingface"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", hint.With(fmt.Errorf("find the hub's cache: %w", err), "name a folder with HF_HOME")
	}
	return filepath.Join(home, ".cache", "huggingface"), nil
}

// expand replaces ~ and $NAME as the hub's client does.
func expand(path string, getenv func(string) string) string {
	if rest, ok := strings.CutPrefix(path, "~"); ok && (rest == "" || os.IsPathSeparator(rest[0])) {
		if home, err := os.UserHomeDir(); err == nil {
			path = home + rest
		}
	}
	return os.Expand(path, getenv)
}

// readToken returns the token of the environment, or the one that a login stored in a file.
func readToken(getenv func(string) string, home string) (string, error) {
	from, token := "HF_TOKEN", strings.TrimSpace(getenv("HF_TOKEN"))
	if token == "" && !isTrue(getenv("HF_HUB_DISABLE_IMPLICIT_TOKEN")) {
		if from = expand(getenv("HF_TOKEN_PATH"), getenv); from == "" {
			from = filepath.Join(home, "token")
		}
		data, err := os.ReadFile(from)
		if err != nil {
			return "", nil // no login, or no readable one
		}
		token = strings.TrimSpace(string(data))
	}
	if len(token) > 1024 || strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", fmt.Errorf("%s: want a token, one word of ASCII characters", from)
	}
	return token, nil
}

func isTrue(s string) bool {
	switch strings.ToUpper(s) {
	case "1", "ON", "YES", "TRUE":
		return true
	}
	return false
}
