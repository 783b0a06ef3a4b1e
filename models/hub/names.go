package hub

import (
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"unicode"

	"github.com/onnx-inject/onnx-inject/graph/base/hint"
)

// DefaultRevision is the branch that is used when none is named.
const DefaultRevision = "main"

// CheckRepo reports what is wrong with the name of a repository. The rules are the hub's: "org/name" or "name" with letters,
// digits and - _ . in between, but neither "--" nor "..".
func CheckRepo(repo string) error {
	parts := strings.Split(repo, "/")
	bad := len(parts) > 2 || strings.Contains(repo, "--") || strings.Contains(repo, "..") || strings.HasSuffix(repo, ".git")
	for _, p := range parts {
		bad = bad || p == "" || len(p) > 96 || strings.ContainsFunc(p, func(r rune) bool { return !wordRune(r) && r != '-' && r != '.' }) ||
			strings.Trim(p, "-.") != p
	}
	if bad {
		return hint.With(fmt.Errorf("repository %q: want org/name or name", repo), "give the end of the address of the model's page, such as openai-community/gpt2")
	}
	return nil
}

func wordRune(r rune) bool {
	return r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
}

// checkRevision allows a branch, a tag or a commit, because the revision becomes a file name under refs.
func checkRevision(revision string) error {
	if err := checkName(revision); err != nil {
		return fmt.Errorf("revision %q: want a branch, a tag or a commit", revision)
	}
	return nil
}

// maxName is the largest length of a path in a repository.
const maxName = 1024

// checkName refuses paths in a repository that could refer to a place outside their folder, on any system.
func checkName(name string) error {
	if name == "" || len(name) > maxName || path.Clean(name) != name || strings.HasPrefix(name, "/") || !filepath.IsLocal(filepath.FromSlash(name)) ||
		slices.Contains(strings.Split(name, "/"), "..") || strings.ContainsFunc(name, func(r rune) bool { return r == '\\' || !unicode.IsPrint(r) }) ||
		len(name) >= 2 && name[1] == ':' {
		return fmt.Errorf("file name %q could lead out of its folder", name)
	}
	return nil
}

// code lists the extensions of formats that contain code or run code when they are opened.
var code = []string{".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib", ".h5", ".keras", ".py", ".so", ".dll", ".dylib", ".exe"}

func holdsCode(name string) bool { return slices.Contains(code, strings.ToLower(path.Ext(name))) }

// isHex reports whether s is n hexadecimal digits in lower case.
func isHex(s string, n int) bool {
	return len(s) == n && strings.Trim(s, "0123456789abcdef") == ""
}
