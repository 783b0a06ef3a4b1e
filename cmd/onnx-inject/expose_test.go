package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/onnx-inject/onnx-inject/models"
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
		{[]string{"z,3"}, `flag --expose "z,3": "3" is no kind`},
		{[]string{"3"}, `flag --expose "3": "3" is no kind`},
		{[]string{"z@"}, `flag --expose "z@": "" are no layers`},
		{[]string{"z@x"}, `flag --expose "z@x": "x" are no layers`},
		{[]string{"z,"}, `flag --expose "z,": a kind is missing beside a comma`},
		{[]string{""}, `flag --expose "": a kind is missing beside a comma`},
		{[]string{"memory"}, `flag --expose "memory": port "memory": want one of z, `},
	}
	for _, tt := range tests {
		t.Run(strings.Join(tt.values, " "), func(t *testing.T) {
			got := ""
			list, err := parseExpose(tt.values)
			if err == nil {
				requests, rerr := exposeRequests(list, &models.Layout{Layers: 12})
				err = rerr
				for _, r := range requests {
					got += fmt.Sprintf("%s:%s ", r.Kind.Port, layerList(r.Layers))
				}
			}
			if err != nil {
				got = err.Error()
				if exitCode(err) != exitUsage {
					t.Errorf("exit code %d", exitCode(err))
				}
			}
			if !strings.HasPrefix(got, tt.want) || err == nil && strings.TrimSpace(got) != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}
