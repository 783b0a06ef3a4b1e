package webpage

import (
	"os"
	"strings"
	"testing"
)

// The policy names scripts by the sums that a browser computes; this one is from the specification of content policies.
func TestPolicy(t *testing.T) {
	got := Scripts{"alert('Hello, world.');"}.Policy()
	if want := "script-src 'sha256-qznLcsROx4GACP2dm0UCKCzCG+HiZ1guq6ZZDob/Tng=';"; !strings.Contains(got, want) {
		t.Errorf("%s has no %s", got, want)
	}
	if strings.Contains(got, "script-src 'unsafe") || !strings.HasPrefix(got, "default-src 'none';") {
		t.Error(got)
	}
	if none := (Scripts{}).Policy(); !strings.Contains(none, "script-src;") {
		t.Errorf("without scripts: %s", none)
	}
}

// A script in a page ends at the first </script, and <!-- changes how it is read.
func TestScriptsStayScripts(t *testing.T) {
	for name, s := range map[string]string{"plot": string(Plot), "common": string(Common)} {
		for _, bad := range []string{"</script", "<script", "<!--", "eval(", "new Function", "sourceMappingURL"} {
			if strings.Contains(strings.ToLower(s), strings.ToLower(bad)) {
				t.Errorf("%s contains %q", name, bad)
			}
		}
	}
}

// Every package in the library has its licence beside it.
func TestLicences(t *testing.T) {
	list, err := os.ReadFile("plot/packages.txt")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(list)) {
		name, _, _ := strings.Cut(line, " ")
		if b, err := os.ReadFile("plot/licences/" + name + "/LICENSE"); err != nil || !strings.Contains(string(b), "Permission to use, copy, modify") {
			t.Errorf("%s: %v, %.60q", name, err, b)
		}
	}
}
