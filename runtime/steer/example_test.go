package steer_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/onnx-inject/onnx-inject/models/demo"
	"github.com/onnx-inject/onnx-inject/models/intervention"
	"github.com/onnx-inject/onnx-inject/models/memory"
	"github.com/onnx-inject/onnx-inject/runtime"
	"github.com/onnx-inject/onnx-inject/runtime/ort"
	"github.com/onnx-inject/onnx-inject/runtime/ort/lib"
	"github.com/onnx-inject/onnx-inject/runtime/steer"
)

// A prompt of two hops, without the missing hop and with it. Any model folder will do; this one is built in.
func Example() {
	dir, err := os.MkdirTemp("", "demo")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := demo.WriteTo(dir); err != nil {
		log.Fatal(err)
	}
	library, err := lib.Find("", lib.CPU) // what onnx-inject ort which prints
	if err != nil {
		log.Fatal(err)
	}
	m, err := steer.Open(context.Background(), ort.Host{Lib: library.Path}, dir, runtime.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	r, err := m.Run(context.Background(), steer.Query{
		Prompt: "People in the land of Machu Picchu speak", Answer: "Spanish", Top: 1,
		Entries: []intervention.Entry{intervention.AddText(" Peru", 0, 1, memory.EncodingUnembed, memory.ConventionFolded)},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%q becomes %q, p of the answer %.2f becomes %.2f\n", r.Clean[0].Token, r.Injected[0].Token, r.Answer.PClean, r.Answer.PInjected)
	// Output: " Urdu" becomes " Spanish", p of the answer 0.04 becomes 0.95
}
