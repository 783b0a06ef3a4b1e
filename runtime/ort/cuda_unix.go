//go:build cgo && !windows

package ort

/*
#cgo LDFLAGS: -ldl
#include <dlfcn.h>
#include <stdlib.h>

// Returns 0 when the library loads. The library stays loaded, as it would for a provider; later loads by its bare name
// find it.
static int loads(const char *path) { return dlopen(path, RTLD_LAZY | RTLD_LOCAL) == NULL; }
*/
import "C"

import "unsafe"

func loads(path string) bool {
	p := C.CString(path)
	defer C.free(unsafe.Pointer(p))
	return C.loads(p) == 0
}
