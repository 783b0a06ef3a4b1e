package main

import (
	"io"

	"github.com/schollz/progressbar/v3"
)

// progress returns a function that shows the progress of a long run on a terminal. Elsewhere it shows nothing.
func progress(w io.Writer, what string) func(done, all int) {
	if !isTerminal(w) {
		return func(int, int) {}
	}
	var bar *progressbar.ProgressBar
	return func(done, all int) {
		if bar == nil {
			bar = progressbar.NewOptions(all, progressbar.OptionSetWriter(w), progressbar.OptionSetDescription(what),
				progressbar.OptionShowCount(), progressbar.OptionSetPredictTime(true), progressbar.OptionClearOnFinish())
		}
		bar.Set(done) // fails only when done is more than all
	}
}
