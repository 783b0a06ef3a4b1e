// Package runtimetest holds the conformance suite of hosts: what the rest of the project takes for granted about a
// runtime.Host, as tests that any host can be put through.
//
//	func TestSuite(t *testing.T) { runtimetest.Suite(t, myHost, runtime.Options{}) }
package runtimetest
