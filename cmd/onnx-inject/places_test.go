package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/onnx-inject/onnx-inject/models"
	"github.com/onnx-inject/onnx-inject/rewrite"
)

func TestParseExpose(t *testing.T) {
	tests := []struct {
		values []string
		want   string // kind:layers in a model of 12 layers, or the error
	}{
		{[]string{"z"}, "z:0-11"},
		{[]string{"z@0"}, "z:0"},
		{[]string{"z@0-3,7,result@all"}, "z:0-3,7 result:0-11"},
		{[]string{"z@0,2,result"}, "z:0,2 result:0-11"},
		{[]string{"z,result@-1"}, "z:0-11 result:11"},
		{[]string{"z@-2,-1,pattern@3"}, "z:10-11 pattern:3"},
		{[]string{"z@0", "result@1", "z@5"}, "z:0,5 result:1"},
		{[]string{"z@1,all"}, "z:0-11"},
		{[]string{" z@0 , result "}, "z:0 result:0-11"},
		{[]string{"z@12"}, `flag --expose: layers "12": no layer 12: the model has 12 layers, 0 to 11`},
		{[]string{"z,3"}, `flag --expose "z,3": "3" is not a kind`},
		{[]string{"3"}, `flag --expose "3": "3" is not a kind`},
		{[]string{"z@"}, `flag --expose "z@": "" is not a list of layers`},
		{[]string{"z@x"}, `flag --expose "z@x": "x" is not a list of layers`},
		{[]string{"z,"}, `flag --expose "z,": a kind is missing before or after a comma`},
		{[]string{""}, `flag --expose "": a kind is missing before or after a comma`},
		{[]string{"memory"}, `flag --expose "memory": port "memory": want one of z, `},
	}
	for _, tt := range tests {
		t.Run(strings.Join(tt.values, " "), func(t *testing.T) {
			got := ""
			list, err := exposeFlag.parse(tt.values)
			if err == nil {
				var counted []counted[*rewrite.Kind]
				counted, err = exposeFlag.count(list, &models.Layout{Layers: 12})
				for _, x := range counted {
					got += fmt.Sprintf("%s:%s ", x.what.Port, layerList(x.layers))
				}
			}
			checkPlaces(t, got, err, tt.want)
		})
	}
}

func TestParseInject(t *testing.T) {
	tests := []struct {
		values []string
		want   string // site:layers in a model of 12 layers, or the error
	}{
		{[]string{"7"}, "attn_out:7"},
		{[]string{"all"}, "attn_out:0-11"},
		{[]string{"0-3,7,-1"}, "attn_out:0-3,7,11"},
		{[]string{"attn_out@7"}, "attn_out:7"},
		{[]string{"mlp_out@3"}, "mlp_out:3"},
		{[]string{"mlp_out"}, "mlp_out:0-11"},
		{[]string{"attn_out@all,mlp_out@3"}, "attn_out:0-11 mlp_out:3"},
		{[]string{"7,mlp_out@3,5"}, "attn_out:7 mlp_out:3,5"},
		{[]string{"mlp_out@3", "7"}, "mlp_out:3 attn_out:7"},
		{[]string{"0", "3,4"}, "attn_out:0,3-4"},
		{[]string{"mlp_out@3,attn_out@1,mlp_out@-1"}, "mlp_out:3,11 attn_out:1"},
		{[]string{"3", "attn_out@3"}, "attn_out:3"},
		{[]string{"12"}, `flag --inject: layers "12": no layer 12: the model has 12 layers, 0 to 11`},
		{[]string{"2-1"}, `flag --inject: layers "2-1": the range "2-1" is reversed: 2 to 1`},
		{[]string{"mlp_out@"}, `flag --inject "mlp_out@": "" is not a list of layers`},
		{[]string{"mlp_out@z"}, `flag --inject "mlp_out@z": "z" is not a list of layers`},
		{[]string{"resid_mid@3"}, `flag --inject "resid_mid@3": site "resid_mid": want one of resid_pre, z, attn_out, mlp_out, resid_post`},
		{[]string{"@3"}, `flag --inject "@3": site "": want one of resid_pre, z, attn_out, mlp_out, resid_post`},
		{[]string{"7,"}, `flag --inject "7,": a site is missing before or after a comma`},
		{[]string{""}, `flag --inject "": a site is missing before or after a comma`},
	}
	for _, tt := range tests {
		t.Run(strings.Join(tt.values, " "), func(t *testing.T) {
			got := ""
			list, err := injectFlag.parse(tt.values)
			if err == nil {
				var counted []counted[models.PortKind]
				counted, err = injectFlag.count(list, &models.Layout{Layers: 12})
				for _, x := range counted {
					got += fmt.Sprintf("%s:%s ", x.what, layerList(x.layers))
				}
			}
			checkPlaces(t, got, err, tt.want)
		})
	}
}

// checkPlaces compares the parsed places, or the beginning of the error, with what is expected.
func checkPlaces(t *testing.T, got string, err error, want string) {
	t.Helper()
	if err != nil {
		got = err.Error()
		if exitCode(err) != exitUsage {
			t.Errorf("exit code %d", exitCode(err))
		}
	}
	if !strings.HasPrefix(got, want) || err == nil && strings.TrimSpace(got) != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
