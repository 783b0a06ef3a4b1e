// Package hubtest stands in for the Hugging Face hub in tests: the list of files, small files from the hub itself, large ones
// from a second host that it redirects to, with the headers that the real one sends. What goes wrong is the test's to say.
package hubtest
