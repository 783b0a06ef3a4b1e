//go:build cgo

package ort

/*
#include <signal.h>
#include <string.h>

static struct sigaction saved[NSIG];

static void save_signals(void) {
	for (int s = 1; s < NSIG; s++) sigaction(s, NULL, &saved[s]);
}

// restores every handler that has changed
static void restore_signals(void) {
	for (int s = 1; s < NSIG; s++) {
		struct sigaction now;
		if (sigaction(s, NULL, &now) == 0 && (now.sa_sigaction != saved[s].sa_sigaction || now.sa_flags != saved[s].sa_flags))
			sigaction(s, &saved[s], NULL);
	}
}
*/
import "C"

import "sync"

var signals sync.Mutex // one saved state

// keepSignals calls f and restores the signal handlers that f replaced.
func keepSignals(f func() error) error {
	signals.Lock()
	defer signals.Unlock()
	C.save_signals()
	defer C.restore_signals()
	return f()
}
