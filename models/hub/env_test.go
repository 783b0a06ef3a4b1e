package hub

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestFromEnv(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	hf := filepath.Join(home, "hf")
	if err := os.MkdirAll(hf, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(hf, "token"), []byte("hf_of_a_login\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		env                    string
		endpoint, cache, token string
		offline                bool
	}{
		{"", publicHub, home + "/.cache/huggingface/hub", "", false},
		{"XDG_CACHE_HOME=/xdg", publicHub, "/xdg/huggingface/hub", "", false},
		{"XDG_CACHE_HOME=/xdg HF_HOME=~/hf", publicHub, hf + "/hub", "hf_of_a_login", false},
		{"HF_HOME=~/hf HF_TOKEN=hf_mine HF_HUB_CACHE=/cache", publicHub, "/cache", "hf_mine", false},
		{"HF_HOME=~/hf HF_HUB_DISABLE_IMPLICIT_TOKEN=1", publicHub, hf + "/hub", "", false},
		{"HF_TOKEN_PATH=$HF/token HF=~/nowhere", publicHub, home + "/.cache/huggingface/hub", "", false},
		{"HF_ENDPOINT=https://mirror.example/hub/ HF_HUB_OFFLINE=true", "https://mirror.example/hub", home + "/.cache/huggingface/hub", "", true},
		{"HF_HUB_OFFLINE=0", publicHub, home + "/.cache/huggingface/hub", "", false},
	} {
		env := map[string]string{}
		for kv := range strings.FieldsSeq(tt.env) {
			k, v, _ := strings.Cut(kv, "=")
			env[k] = v
		}
		c, err := FromEnv(func(k string) string { return env[k] })
		if err != nil {
			t.Errorf("%s: %v", tt.env, err)
			continue
		}
		if c.Endpoint != tt.endpoint || c.Cache != filepath.FromSlash(tt.cache) || c.Token != tt.token || c.Offline != tt.offline {
			t.Errorf("%s: got %s, %s, %q, %v", tt.env, c.Endpoint, c.Cache, c.Token, c.Offline)
		}
	}
	for _, bad := range []string{"HF_ENDPOINT=mirror", "HF_ENDPOINT=ftp://x", "HF_ENDPOINT=https://user:secret@x", "HF_TOKEN=hf\x01"} {
		k, v, _ := strings.Cut(bad, "=")
		if _, err := FromEnv(func(name string) string { return map[string]string{k: v}[name] }); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: got %v", bad, err)
		}
	}
}
