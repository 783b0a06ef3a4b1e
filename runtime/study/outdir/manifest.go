package outdir

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	"github.com/onnx-inject/onnx-inject/graph/base/hint"
)

// sealField is the last field of a sealed manifest. It holds the SHA-256, in hexadecimal, of all bytes before the comma in front
// of the field.
const sealField = "sha256"

// Seal adds its checksum to the text of a manifest, as json.MarshalIndent writes it.
func Seal(data []byte) []byte {
	body := bytes.TrimSuffix(data, []byte("\n}"))
	return append(body, sealOf(body)...)
}

// CheckSeal requires the checksum of a manifest to fit where it has one. Manifests of earlier versions have none.
func CheckSeal(data []byte) (sealed bool, err error) {
	at := bytes.LastIndexByte(data, ',')
	if at < 0 || !bytes.Contains(data[at:], []byte(sealField)) {
		return false, nil
	}
	if string(data[at:]) != sealOf(data[:at]) {
		return false, Damaged("%s: the checksum at its end does not fit: the file was changed after it was written", ManifestFile)
	}
	return true, nil
}

// sealOf is the end of a manifest.
func sealOf(body []byte) string {
	return fmt.Sprintf(",\n  %q: \"%x\"\n}\n", sealField, sha256.Sum256(body))
}

// Damaged reports that a file of a folder was changed after it was written.
func Damaged(format string, args ...any) error {
	return hint.With(fmt.Errorf(format, args...),
		"another program or a fault of the disk changed the folder: restore it from a copy, or run again with another folder")
}

// Diff lists the fields in which the manifest want differs from have, on one line, or returns "" when there are none. Both are
// structs of the same type.
func Diff(have, want any) string {
	var out []string
	h := fields("", reflect.ValueOf(have))
	for i, w := range fields("", reflect.ValueOf(want)) {
		if h[i] != w {
			out = append(out, fmt.Sprintf("%s: %s in the folder, %s now", w[0], h[i][1], w[1]))
		}
	}
	return strings.Join(out, "; ")
}

// fields lists the leaves of a struct by their JSON path, with their values as text.
func fields(path string, v reflect.Value) [][2]string {
	if v.Kind() != reflect.Struct {
		text, err := json.Marshal(v.Interface())
		if err != nil {
			text = []byte(err.Error())
		}
		return [][2]string{{path, string(text)}}
	}
	var out [][2]string
	for i := range v.NumField() {
		name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
		if path != "" {
			name = path + "." + name
		}
		out = append(out, fields(name, v.Field(i))...)
	}
	return out
}
