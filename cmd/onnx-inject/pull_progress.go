package main

import (
	"io"
	"time"

	"github.com/schollz/progressbar/v3"

	"github.com/onnx-inject/onnx-inject/models/hub"
)

// pullBar shows the number of downloaded bytes and the speed on a terminal. Elsewhere it shows nothing.
type pullBar struct {
	w    io.Writer
	bar  *progressbar.ProgressBar
	last hub.Progress
}

func pullProgress(w io.Writer) *pullBar { return &pullBar{w: w} }

func (b *pullBar) show(p hub.Progress) {
	before := b.last
	b.last = p
	if !isTerminal(b.w) {
		return
	}
	fresh := b.bar == nil
	if fresh {
		b.bar = progressbar.NewOptions64(p.All, progressbar.OptionSetWriter(b.w), progressbar.OptionShowBytes(true), progressbar.OptionShowCount(), progressbar.OptionShowTotalBytes(true),
			progressbar.OptionSetPredictTime(true), progressbar.OptionClearOnFinish(), progressbar.OptionThrottle(100*time.Millisecond))
	}
	if p.All != before.All {
		b.bar.ChangeMax64(p.All)
	}
	if fresh || p.File != before.File {
		b.bar.Describe(escape(p.File))
	}
	b.bar.Set64(p.Done) // fails only when done is more than all
}

// end removes the bar. The next call of show makes a new one.
func (b *pullBar) end() {
	if b.bar != nil {
		b.bar.Clear()
		b.bar = nil
	}
}
