package lib

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// client is a package client of the machine: how to find it and what to ask it for.
type client struct {
	name string
	try  [][]string                             // commands that may be it, best first
	args func(b Build, version string) []string // what downloads one package into the current folder
	glob string                                 // the archive that appears there
}

var clients = []client{
	{
		name: "pip",
		try:  [][]string{{"python3", "-m", "pip"}, {"pip3"}, {"pip"}, {"python", "-m", "pip"}, {"py", "-m", "pip"}},
		// The wheel's interpreter does not matter: we take a plain library out of it. Naming one makes any pip accept
		// it.
		args: func(b Build, version string) []string {
			return []string{"download", "--quiet", "--disable-pip-version-check", "--no-input", "--no-deps", "--only-binary=:all:",
				"--platform", b.Tag, "--python-version", "3.12", "--dest", ".", b.Package + "==" + version}
		},
		glob: "*.whl",
	},
	{
		name: "npm",
		try:  [][]string{{"npm"}},
		args: func(b Build, version string) []string {
			return []string{"pack", "--silent", "--ignore-scripts", b.Package + "@" + version}
		},
		glob: "*.tgz",
	},
}

// find returns the command that starts the client, nil when the machine has none that answers.
func (c client) find(ctx context.Context) []string {
	for _, argv := range c.try {
		if _, err := exec.LookPath(argv[0]); err != nil {
			continue
		}
		if _, err := command(ctx, "", argv, "--version"); err == nil {
			return argv
		}
	}
	return nil
}

// download runs the client in dir and returns the archive it left there.
func (c client) download(ctx context.Context, argv []string, b Build, version, dir string) (string, error) {
	if _, err := command(ctx, dir, argv, c.args(b, version)...); err != nil {
		return "", err
	}
	found, err := filepath.Glob(filepath.Join(dir, c.glob))
	if err != nil || len(found) != 1 {
		return "", fmt.Errorf("want one %s, got %d", c.glob, len(found))
	}
	return found[0], nil
}

// command runs a client and returns its output; an error carries the last line of what it complained about.
func command(ctx context.Context, dir string, argv []string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, argv[0], append(argv[1:len(argv):len(argv)], args...)...)
	cmd.Dir = dir
	cmd.WaitDelay = 2 * time.Second
	// A user's wish that pip works in virtual environments only is about installing; this only downloads.
	cmd.Env = append(os.Environ(), "PIP_REQUIRE_VIRTUALENV=0")
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		lines := strings.Split(strings.TrimSpace(errs.String()), "\n")
		if last := strings.TrimSpace(lines[len(lines)-1]); last != "" {
			return "", fmt.Errorf("%w: %s", err, last)
		}
		return "", err
	}
	return out.String(), nil
}
