package models

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestParseLayers(t *testing.T) {
	for _, test := range []struct {
		s    string
		n    int
		want string
	}{
		{"all", 3, "[0 1 2]"},
		{"all", 1, "[0]"},
		{"7", 12, "[7]"},
		{"0-3,7", 12, "[0 1 2 3 7]"},
		{"-1", 12, "[11]"},
		{"-2", 12, "[10]"},
		{"-12", 12, "[0]"},
		{"3,1,2-3,1", 12, "[1 2 3]"},
		{" 1 , 2", 3, "[1 2]"},
		{"10--1", 12, "[10 11]"},
		{"-3--2", 12, "[9 10]"},
		{"5,all", 3, `layers "5,all": no layer 5: the model has 3 layers, 0 to 2`},
		{"007", 12, "[7]"},
		{"12", 12, `layers "12": no layer 12: the model has 12 layers, 0 to 11`},
		{"-13", 12, `no layer -13: the model has 12 layers, 0 to 11`},
		{"0-12", 12, "no layer 12"},
		{"99999999999999999999", 12, "no layer 99999999999999999999"},
		{"3-1", 12, `the range "3-1" is reversed: 3 to 1`},
		{"0--12", 6, "no layer -12"},
		{"", 12, `got "", want all`},
		{"1,,2", 12, `got ""`},
		{"1-", 12, `got "1-"`},
		{"--1", 12, `got "--1"`},
		{"1:3", 12, `got "1:3"`},
		{"ALL", 12, `got "ALL"`},
		{"1.5", 12, `got "1.5"`},
		{"0", 0, "the model has 0 layers"},
	} {
		t.Run(fmt.Sprintf("%q of %d", test.s, test.n), func(t *testing.T) {
			layers, err := ParseLayers(test.s, test.n)
			got := fmt.Sprint(layers)
			if err != nil {
				got = err.Error()
			}
			if !strings.Contains(got, test.want) || strings.HasPrefix(test.want, "[") != (err == nil) {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

// An accepted list must be a sorted set of existing layers, and writing it in full must give the same set.
func FuzzParseLayers(f *testing.F) {
	for _, s := range []string{"all", "7", "0-3,7", "-1", "-2", "-3--1", "1,,2", "--", "5,all", "00-1", "+1", "1-2-3"} {
		f.Add(s, 12)
	}
	f.Fuzz(func(t *testing.T, s string, n int) {
		n = max(0, n%1000)
		layers, err := ParseLayers(s, n)
		if err != nil {
			if layers != nil || !strings.HasPrefix(err.Error(), "layers ") {
				t.Fatalf("%v, %v", layers, err)
			}
			return
		}
		if len(layers) == 0 || layers[0] < 0 || layers[len(layers)-1] >= n {
			t.Fatalf("%q of %d: %v", s, n, layers)
		}
		for i := 1; i < len(layers); i++ {
			if layers[i] <= layers[i-1] {
				t.Fatalf("%q of %d: %v is not a sorted set", s, n, layers)
			}
		}
		again, err := ParseLayers(strings.Trim(strings.ReplaceAll(fmt.Sprint(layers), " ", ","), "[]"), n)
		if err != nil || !slices.Equal(again, layers) {
			t.Fatalf("%v read again: %v, %v", layers, again, err)
		}
	})
}
