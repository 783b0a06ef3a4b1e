// Package choice parses a word that must be one of a list.
package choice

import (
	"fmt"
	"slices"
	"strings"
)

// Of returns the element of from that s names. The error contains the given word and lists the choices.
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
