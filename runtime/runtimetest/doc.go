// Package runtimetest holds the conformance suite of hosts: tests of everything that the project requires of a
// runtime.Host. Any host can run them:
//
//	func TestSuite(t *testing.T) { runtimetest.Suite(t, myHost, runtime.Options{}) }
package runtimetest
