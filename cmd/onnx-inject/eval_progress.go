package main

import (
	"fmt"
	"io"
	"time"

	"github.com/schollz/progressbar/v3"

	"github.com/onnx-inject/onnx-inject/runtime/study/eval"
)

// evalBar shows the progress of an evaluation: a bar on a terminal, one line per minute elsewhere.
type evalBar struct {
	w     io.Writer
	every time.Duration // between two lines; 0 on a terminal
	stage eval.Stage
	bar   *progressbar.ProgressBar
	start time.Time // of the stage
	first int       // number done at the start of the stage
	shown time.Time // time of the last line
}

func evalProgress(w io.Writer) *evalBar {
	b := &evalBar{w: w, every: time.Minute}
	if isTerminal(w) {
		b.every = 0
	}
	return b
}

func (b *evalBar) show(p eval.Progress) {
	if p.Stage != b.stage {
		b.end()
		b.stage, b.start, b.first, b.shown = p.Stage, time.Now(), p.Done, time.Now()
		if b.every == 0 {
			b.bar = progressbar.NewOptions(p.All, progressbar.OptionSetWriter(b.w), progressbar.OptionSetDescription(string(p.Stage)), progressbar.OptionFullWidth(),
				progressbar.OptionShowCount(), progressbar.OptionShowIts(), progressbar.OptionSetItsString(string(p.Stage)), progressbar.OptionSetPredictTime(true), progressbar.OptionClearOnFinish())
		}
	}
	if b.bar != nil {
		b.bar.Describe(string(p.Stage) + best(p))
		b.bar.Set(p.Done) // fails only when done is more than all
		return
	}
	if time.Since(b.shown) < b.every {
		return
	}
	b.shown = time.Now()
	line := fmt.Sprintf("%s %d of %d", p.Stage, p.Done, p.All)
	if n := p.Done - b.first; n > 0 {
		each := time.Since(b.start) / time.Duration(n)
		line += fmt.Sprintf(", %.3g per minute, %v left", float64(time.Minute)/float64(each), (each * time.Duration(p.All-p.Done)).Round(time.Second))
	}
	say(b.w, "%s", line+best(p))
}

// best describes the best cell so far.
func best(p eval.Progress) string {
	if p.Best == nil {
		return ""
	}
	at := p.Best.Point
	text := fmt.Sprintf("layer %d", at.Layer)
	if at.Site != "" {
		text = fmt.Sprintf("%s@%d", at.Site, at.Layer)
	}
	if h, one := at.Head.Index(); one {
		text += fmt.Sprintf(".%d", h)
	}
	return fmt.Sprintf(", best so far %s tau %v: log-odds %+.2f", text, at.Tau, p.Best.LogOdds)
}

// end removes the bar.
func (b *evalBar) end() {
	if b.bar != nil {
		b.bar.Clear()
		b.bar = nil
	}
}
