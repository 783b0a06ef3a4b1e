package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// release is the version of a program that "make dist" built.
var release string

// version returns the version that the build recorded: that of a release, the module's, or the commit of a working tree.
func version() string {
	if release != "" {
		return release
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	v := info.Main.Version
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision" && (v == "" || v == "(devel)"):
			v = s.Value
		case s.Key == "vcs.modified" && s.Value == "true" && len(v) == 40:
			v += "+dirty"
		}
	}
	if v == "" {
		v = "(devel)"
	}
	return v
}

func versionCommand() *command {
	return &command{
		name: "version", usage: "print the version",
		doc:     "Prints the version, the Go version and the platform of this build.",
		example: "onnx-inject version",
		run: func(c *call) error {
			c.out.line(text("%s", fmt.Sprintf("onnx-inject %s %s %s/%s", version(), runtime.Version(), runtime.GOOS, runtime.GOARCH)))
			return nil
		},
	}
}
