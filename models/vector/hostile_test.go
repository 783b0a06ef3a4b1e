package vector

import (
	"encoding/binary"
	"math"
	"strings"
	"testing"
)

func u16(n int) string    { return string(binary.LittleEndian.AppendUint16(nil, uint16(n))) }
func u32(n int) string    { return string(binary.LittleEndian.AppendUint32(nil, uint32(n))) }
func u64(n uint64) string { return string(binary.LittleEndian.AppendUint64(nil, n)) }
func str(s string) string { return u64(uint64(len(s))) + s }

func f32(v ...float32) string { return string(appendFloats(nil, v)) }

func npy(header, data string) string { return "\x93NUMPY\x01\x00" + u16(len(header)) + header + data }

func npyOf(descr, order, shape, data string) string {
	return npy("{'descr': "+descr+", 'fortran_order': "+order+", 'shape': "+shape+", }\n", data)
}

func safetensors(header, data string) string { return str(header) + data }

func memory(dtype, shape, offsets string) string {
	return `"memory":{"dtype":` + dtype + `,"shape":` + shape + `,"data_offsets":` + offsets + `}`
}

func fact(key, s string) string { return str(key) + u32(8) + str(s) }

var arch = fact("general.architecture", "controlvector")

func gguf(tensors, facts uint64, rest string) string {
	return "GGUF" + u32(3) + u64(tensors) + u64(facts) + rest
}

func entry(name string, dims []uint64, kind int, offset uint64) string {
	s := str(name) + u32(len(dims))
	for _, d := range dims {
		s += u64(d)
	}
	return s + u32(kind) + u64(offset)
}

// padded pads a header to a multiple of 32 bytes and appends numbers.
func padded(header, data string) string {
	return header + strings.Repeat("\x00", (32-len(header)%32)%32) + data
}

const huge = math.MaxUint64

// hostile lists files that must be refused, each with a part of the error.
var hostile = []struct{ ext, name, data, want string }{
	{".npy", "cut in the header", "\x93NUMPY\x01\x00\x76\x00{'descr'", "header of 118 bytes in a file of 18"},
	{".npy", "cut before the header", "\x93NUMPY\x01\x00", "8 bytes, want a header"},
	{".npy", "version", "\x93NUMPY\x09\x00\x00\x00\x00\x00", "npy format 9.0"},
	{".npy", "header of 4 GiB", "\x93NUMPY\x02\x00\xff\xff\xff\xff", "header of 4294967295 bytes"},
	{".npy", "cut in the data", npyOf("'<f4'", "False", "(2,)", "\x00\x00\x80"), "3 bytes of data, want 8"},
	{".npy", "too much data", npyOf("'<f4'", "False", "(1,)", f32(1, 2)), "8 bytes of data, want 4"},
	{".npy", "huge shape", npyOf("'<f4'", "False", "(4611686018427387905,)", ""), "overflows"},
	{".npy", "huge product", npyOf("'<f4'", "False", "(4294967296, 4294967296, 4294967296)", ""), "overflows"},
	{".npy", "dimension over 63 bits", npyOf("'<f4'", "False", "(99999999999999999999,)", ""), "unexpected dimension"},
	{".npy", "negative", npyOf("'<f4'", "False", "(-1,)", ""), "unexpected dimension"},
	{".npy", "nothing", npyOf("'<f4'", "False", "(0,)", ""), "shape [0]"},
	{".npy", "scalar", npyOf("'<f4'", "False", "()", f32(1)), "shape []"},
	{".npy", "matrix", npyOf("'<f4'", "False", "(2, 1)", f32(1, 2)), "shape [2 1]"},
	{".npy", "four dimensions", npyOf("'<f4'", "False", "(1, 1, 1, 2)", f32(1, 2)), "shape [1 1 1 2]"},
	{".npy", "objects", npyOf("'|O'", "False", "(1,)", "\x80\x04N."), "pickle"},
	{".npy", "big-endian", npyOf("'>f4'", "False", "(1,)", f32(1)), `dtype ">f4"`},
	{".npy", "integers", npyOf("'<i8'", "False", "(1,)", f32(1, 1)), `dtype "<i8"`},
	{".npy", "records", npyOf("[('a', '<f4')]", "False", "(1,)", f32(1)), "descr is not a plain type"},
	{".npy", "Fortran order", npyOf("'<f4'", "True", "(1, 2)", f32(1, 2)), "Fortran order"},
	{".npy", "NaN", npyOf("'<f4'", "False", "(3,)", f32(1, 2, float32(math.NaN()))), "element 2 is NaN"},
	{".npy", "too large for float32", npyOf("'<f8'", "False", "(1,)", "\x00\x00\x00\x00\x00\x00\xe0\x7f"), "element 0 is +Inf as float32"},
	{".npy", "half infinity", npyOf("'<f2'", "False", "(2,)", "\x00\x3c\x00\xfc"), "element 1 is -Inf"},
	{".npy", "key twice", npy("{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (1,)}\n", f32(1)), `key "descr" twice`},
	{".npy", "key missing", npy("{'descr': '<f4', 'shape': (1,)}\n", f32(1)), "no fortran_order"},
	{".npy", "unknown key", npy("{'descr': '<f4', 'x': (1,)}\n", f32(1)), `unexpected key "x"`},
	{".npy", "expression", npy("__import__('os')\n", f32(1)), `want "{"`},
	{".npy", "something after", npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1,)} + 1\n", f32(1)), "unexpected the end"},
	{".npy", "never closed", npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1,", f32(1)), "unexpected dimension"},
	{".npy", "escape in a string", npyOf(`'\x3cf4'`, "False", "(1,)", f32(1)), "descr is not a plain type"},

	{".safetensors", "header of 2^64 bytes", u64(huge) + "{}", "header of 18446744073709551615 bytes"},
	{".safetensors", "header over the limit", u64(100<<20+1) + "{}", "header of 104857601 bytes"},
	{".safetensors", "header over the end", u64(3) + "{}", "header of 3 bytes in a file of 10"},
	{".safetensors", "no header", u64(0), `want "{" first`},
	{".safetensors", "cut in the length", "\x10\x00", "2 bytes, want a header"},
	{".safetensors", "space first", safetensors(" {}", ""), `want "{" first`},
	{".safetensors", "not an object", safetensors("[]", ""), `want "{" first`},
	{".safetensors", "never closed", safetensors(`{"a":`, ""), "unexpected EOF"},
	{".safetensors", "something after", safetensors(`{}x`, ""), `got "x"`},
	{".safetensors", "a second object", safetensors(`{} {}`, ""), `got " {}"`},
	{".safetensors", "line feed after", safetensors("{}\n", ""), "want spaces"},
	{".safetensors", "not UTF-8", safetensors("{\"\xff\":1}", ""), "not UTF-8"},
	{".safetensors", "key is a number", safetensors(`{1:2}`, ""), "invalid character"},
	{".safetensors", "deep", safetensors(`{"a":{"shape":`+strings.Repeat("[", 20000), ""), "exceeded max depth"},
	{".safetensors", "cut in the data", safetensors("{"+memory(`"F32"`, "[2]", "[0,8]")+"}", f32(1)), "ends at byte 8 of 4"},
	{".safetensors", "data after", safetensors("{"+memory(`"F32"`, "[1]", "[0,4]")+"}", f32(1, 2)), "8 bytes of data, want 4"},
	{".safetensors", "data and no tensor", safetensors("{}", f32(1)), "4 bytes of data, want 0"},
	{".safetensors", "hole", safetensors(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[8,12]}}`, f32(1, 2, 3)), `tensor "b": begins at byte 8, want 4`},
	{".safetensors", "hole first", safetensors("{"+memory(`"F32"`, "[1]", "[4,8]")+"}", f32(1, 2)), "begins at byte 4, want 0"},
	{".safetensors", "overlap", safetensors(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}`, f32(1, 2, 3)), `tensor "b": begins at byte 4, want 8`},
	{".safetensors", "same bytes twice", safetensors(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, f32(1)), "begins at byte 0, want 4"},
	{".safetensors", "range too long", safetensors("{"+memory(`"F32"`, "[1]", "[0,8]")+"}", f32(1, 2)), "want 4 bytes"},
	{".safetensors", "range backwards", safetensors("{"+memory(`"F32"`, "[1]", "[4,0]")+"}", f32(1)), "data_offsets [4 0]"},
	{".safetensors", "negative range", safetensors("{"+memory(`"F32"`, "[1]", "[-4,0]")+"}", f32(1)), "data_offsets [-4 0]"},
	{".safetensors", "range over 63 bits", safetensors("{"+memory(`"F32"`, "[1]", "[0,18446744073709551615]")+"}", f32(1)), "json"},
	{".safetensors", "one offset", safetensors("{"+memory(`"F32"`, "[1]", "[4]")+"}", f32(1)), "data_offsets [4]"},
	{".safetensors", "huge shape", safetensors("{"+memory(`"F32"`, "[4611686018427387905]", "[0,4]")+"}", f32(1)), "overflows"},
	{".safetensors", "huge product", safetensors("{"+memory(`"F32"`, "[4294967296,4294967296]", "[0,0]")+"}", ""), "overflows"},
	{".safetensors", "negative shape", safetensors("{"+memory(`"F32"`, "[-1]", "[0,4]")+"}", f32(1)), "negative dimension"},
	{".safetensors", "fraction", safetensors("{"+memory(`"F32"`, "[1.5]", "[0,4]")+"}", f32(1)), "json"},
	{".safetensors", "no shape", safetensors("{"+memory(`"F32"`, "null", "[0,4]")+"}", f32(1)), "no shape"},
	{".safetensors", "dtype", safetensors("{"+memory(`"Q4"`, "[1]", "[0,4]")+"}", f32(1)), `unknown dtype "Q4"`},
	{".safetensors", "integers", safetensors("{"+memory(`"I32"`, "[1]", "[0,4]")+"}", f32(1)), "dtype int32"},
	{".safetensors", "nothing", safetensors("{"+memory(`"F32"`, "[0]", "[0,0]")+"}", ""), "shape [0]"},
	{".safetensors", "unknown field", safetensors(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"x":1}}`, f32(1)), `unknown field "x"`},
	{".safetensors", "tensor twice", safetensors("{"+memory(`"F32"`, "[1]", "[0,4]")+","+memory(`"F32"`, "[1]", "[0,4]")+"}", f32(1)), `key "memory" twice`},
	{".safetensors", "tensor twice, once escaped", safetensors(`{`+memory(`"F32"`, "[1]", "[0,4]")+`,"\u006demory":{}}`, f32(1)), `key "memory" twice`},
	{".safetensors", "field twice", safetensors(`{"a":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, f32(1)), `key "dtype" twice`},
	{".safetensors", "fact twice", safetensors(`{"__metadata__":{"a":"1","a":"2"}}`, ""), `key "a" twice`},
	{".safetensors", "fact is a number", safetensors(`{"__metadata__":{"a":1}}`, ""), `"a": want a string, got 1`},
	{".safetensors", "facts are a list", safetensors(`{"__metadata__":[]}`, ""), "want an object"},
	{".safetensors", "infinity", safetensors("{"+memory(`"BF16"`, "[2]", "[0,4]")+"}", "\x80\x3f\x80\x7f"), "element 1 is +Inf"},

	{".gguf", "magic", "GGML" + u32(3) + u64(0) + u64(0), `begins with "GGUF", got "GGML"`},
	{".gguf", "version 2", "GGUF" + u32(2) + u64(0) + u64(0), "gguf version 2, want 3"},
	{".gguf", "big-endian", "GGUF\x00\x00\x00\x03" + u64(0) + u64(0), "gguf version 50331648"},
	{".gguf", "cut in the counts", "GGUF" + u32(3) + u64(0), "want 8 bytes at 16 of 16"},
	{".gguf", "2^64 facts", gguf(0, huge, ""), "want 8 bytes"},
	{".gguf", "2^64 tensors", gguf(huge, 1, arch), "want 8 bytes"},
	{".gguf", "key of 2^64 bytes", gguf(0, 1, u64(huge)), "string of 18446744073709551615 bytes"},
	{".gguf", "key over the end", gguf(0, 1, u64(100)), "want 100 bytes"},
	{".gguf", "array of 2^64", gguf(0, 1, str("a")+u32(9)+u32(10)+u64(huge)), "want 9223372036854775800 bytes"},
	{".gguf", "array of 2^64 strings", gguf(0, 1, str("a")+u32(9)+u32(8)+u64(huge)), "want 8 bytes"},
	{".gguf", "array of arrays", gguf(0, 1, str("a")+u32(9)+u32(9)+u64(1)), "value of type 9"},
	{".gguf", "array with a string over the end", gguf(0, 1, str("a")+u32(9)+u32(8)+u64(1)+u64(huge)), "want 18446744073709551615 bytes"},
	{".gguf", "value type", gguf(0, 1, str("a")+u32(77)+u32(0)), "value of type 77"},
	{".gguf", "fact twice", gguf(0, 2, arch+arch), `fact "general.architecture" twice`},
	{".gguf", "a model", gguf(0, 1, fact("general.architecture", "llama")), `architecture "llama"`},
	{".gguf", "no architecture", gguf(0, 0, ""), `architecture ""`},
	{".gguf", "alignment 0", gguf(0, 2, arch+str("general.alignment")+u32(4)+u32(0)), "alignment 0"},
	{".gguf", "alignment 24", gguf(0, 2, arch+str("general.alignment")+u32(4)+u32(24)), "alignment 24"},
	{".gguf", "alignment as text", gguf(0, 2, arch+str("general.alignment")+u32(10)+u64(32)), "alignment 32 of type 10"},
	{".gguf", "alignment 2^31", gguf(1, 2, arch+str("general.alignment")+u32(4)+u32(1<<31)+entry("direction.1", []uint64{1}, 0, 0)+f32(1)), "want 2147483652"},
	{".gguf", "no tensors", gguf(0, 1, arch), "no directions"},
	{".gguf", "another tensor", gguf(1, 1, arch+entry("w", []uint64{1}, 0, 0)), `tensor "w": want a name direction.1`},
	{".gguf", "layer 0", gguf(1, 1, arch+entry("direction.0", []uint64{1}, 0, 0)), `tensor "direction.0"`},
	{".gguf", "layer 01", gguf(1, 1, arch+entry("direction.01", []uint64{1}, 0, 0)), `tensor "direction.01"`},
	{".gguf", "half", gguf(1, 1, arch+entry("direction.1", []uint64{1}, 1, 0)), "ggml type 1, want 0"},
	{".gguf", "matrix", gguf(1, 1, arch+entry("direction.1", []uint64{1, 1}, 0, 0)), "2 dimensions"},
	{".gguf", "2^32 dimensions", gguf(1, 1, arch+str("direction.1")+u32(math.MaxUint32)+u64(1)+u64(1)), "want 8 bytes"},
	{".gguf", "huge", gguf(1, 1, arch+entry("direction.1", []uint64{huge}, 0, 0)), "has 18446744073709551615 elements"},
	{".gguf", "nothing", gguf(1, 1, arch+entry("direction.1", []uint64{0}, 0, 0)), "has 0 elements"},
	{".gguf", "offset", gguf(1, 1, padded(arch+entry("direction.1", []uint64{1}, 0, 32), f32(1))), "offset 32, want 0"},
	{".gguf", "overlap", gguf(2, 1, arch+entry("direction.1", []uint64{1}, 0, 0)+entry("direction.2", []uint64{1}, 0, 0)), `tensor "direction.2": offset 0, want 32`},
	{".gguf", "tensor twice", gguf(2, 1, arch+entry("direction.1", []uint64{1}, 0, 0)+entry("direction.1", []uint64{1}, 0, 32)), `tensor "direction.1": twice`},
	{".gguf", "two widths", gguf(2, 1, arch+entry("direction.1", []uint64{1}, 0, 0)+entry("direction.2", []uint64{2}, 0, 32)), `"direction.2" has 2 elements, "direction.1" has 1`},
	{".gguf", "cut in the data", padded(gguf(1, 1, arch+entry("direction.1", []uint64{2}, 0, 0)), f32(1)), "bytes, want"},
	{".gguf", "something after", padded(gguf(1, 1, arch+entry("direction.1", []uint64{1}, 0, 0)), f32(1, 0, 0, 0, 0, 0, 0, 0, 0)), "bytes, want"},
	{".gguf", "NaN", padded(gguf(1, 1, arch+entry("direction.1", []uint64{2}, 0, 0)), f32(1, float32(math.NaN()))), `tensor "direction.1": element 1 is NaN`},
}

func TestHostile(t *testing.T) {
	for _, c := range hostile {
		for _, f := range formats {
			if f.ext != c.ext {
				continue
			}
			v, err := decode(f, []byte(c.data))
			if err == nil {
				t.Errorf("%s: %s: no error, got %v", c.ext, c.name, v)
			} else if !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: %s: error %q, want %q in it", c.ext, c.name, err, c.want)
			}
		}
	}
}

// Unusual but valid forms, which differ from those that Write produces.
func TestUnusualButRight(t *testing.T) {
	header := gguf(1, 2, arch+str("general.alignment")+u32(4)+u32(64)+entry("direction.3", []uint64{2}, 0, 0))
	for _, c := range []struct{ ext, name, data string }{
		{".npy", "keys in another order, double quotes", npy(`{"shape":(2,),"fortran_order":False,"descr":"<f4"}`, f32(1, 2))},
		{".safetensors", "no facts, no padding, white space", safetensors("{ \"a\" : {\"shape\":[1,2],\"data_offsets\":[0,8],\"dtype\":\"F32\"} }  ", f32(1, 2))},
		{".gguf", "alignment 64, no padding at the end", header + strings.Repeat("\x00", (64-len(header)%64)%64) + f32(1, 2)},
	} {
		for _, f := range formats {
			if f.ext != c.ext {
				continue
			}
			v, err := decode(f, []byte(c.data))
			if err != nil || len(v) != 1 || len(v[0].Data) != 2 || v[0].Data[1] != 2 {
				t.Errorf("%s: %s: %v, %v", c.ext, c.name, v, err)
			}
		}
	}
}
