// Package hubtest is a test server that imitates the Hugging Face hub: the list of files, small files from the hub itself,
// and large files from a second host that it redirects to, with the headers of the real hub. Tests can add faults.
package hubtest
