// Package choice reads a word that must be one of a list.
package choice

import (
	"fmt"
	"slices"
	"strings"
)

// Of returns the one of from that s names. The error says what was read, and lists the choices.
func Of[T ~string](what, s string, from []T) (T, error) {
	if i := slices.Index(from, T(s)); i >= 0 {
		return from[i], nil
	}
	names := make([]string, len(from))
	for i, c := range from {
		names[i] = string(c)
	}
	return "", fmt.Errorf("%s %q: want one of %s", what, s, strings.Join(names, ", "))
}
