// Package hint attaches advice to errors: what the user can do about them. It imports no other package of the project, so
// that every package can use it.
package hint

import "errors"

// With attaches advice to err: what the user can do about it. The advice is not part of the error text; the command line
// prints it on a separate line. A nil err stays nil.
func With(err error, advice string) error {
	if err == nil {
		return nil
	}
	return &hinted{err, advice}
}

// Of returns the outermost advice attached to err or to an error it wraps, "" when there is none.
func Of(err error) string {
	var h *hinted
	if errors.As(err, &h) {
		return h.advice
	}
	return ""
}

type hinted struct {
	error
	advice string
}

func (h *hinted) Unwrap() error { return h.error }
