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

// client is a package client of the machine: how to find it and which arguments to give it.
type client struct {
	name string
	try  [][]string                             // commands that may start it, best first
	args func(b Build, version string) []string // the arguments that download one package into the current folder
	glob string                                 // the pattern of the archive that appears there
}

var clients = []client{
	{
		name: "pip",
		try:  [][]string{{"python3", "-m", "pip"}, {"pip3"}, {"pip"}, {"python", "-m", "pip"}, {"py", "-m", "pip"}},
		// The wheel's interpreter does not matter, because only a plain library is taken out of the wheel. Naming one makes
		// any pip accept the wheel.
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

// find returns the command that starts the client, nil when no candidate on this machine responds.
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

// download runs the client in dir and returns the path of the downloaded archive.
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

// command runs a client and returns its output. An error carries the last line that the client wrote to stderr.
func command(ctx context.Context, dir string, argv []string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, argv[0], append(argv[1:len(argv):len(argv)], args...)...)
	cmd.Dir = dir
	cmd.WaitDelay = 2 * time.Second
	// A user may restrict pip to virtual environments. That setting is about installing; this command only downloads.
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
