module github.com/onnx-inject/onnx-inject

go 1.26.0

require (
	github.com/ardanlabs/jinja v1.8.0 // chat templates; newer ones need Go 1.27
	github.com/cpuguy83/go-md2man/v2 v2.0.7 // the manual page, as the cli library renders its own
	github.com/dlclark/regexp2 v1.10.0 // tests: GPT-2's own splitting expression, which regexp cannot hold
	github.com/gofrs/flock v0.13.1 // one writer to a folder of results, and to a file of the hub's cache, on every system
	github.com/google/go-cmp v0.7.0 // tests: differences that can be read
	github.com/jedib0t/go-pretty/v6 v6.8.3 // tables and colours on a terminal
	github.com/owulveryck/onnx-go v0.5.0 // tests: an independent decoder, and executor of what is inserted
	github.com/parquet-go/parquet-go v0.32.0 // cells as Parquet, for pandas, polars and DuckDB
	github.com/pkoukk/tiktoken-go v0.1.8 // tests: the oracle of the tokenizer
	github.com/pkoukk/tiktoken-go-loader v0.0.2 // tests: the real GPT-2 vocabulary, offline
	github.com/rogpeppe/go-internal v1.16.0 // tests: testscript for the command line
	github.com/schollz/progressbar/v3 v3.19.1 // progress on a terminal
	github.com/urfave/cli/v2 v2.27.7 // the command line
	github.com/xrash/smetrics v0.0.0-20240521201337-686a1a2994c1 // "did you mean" for verbs and flags, as the cli library has it
	github.com/yalue/onnxruntime_go v1.27.0 // the ONNX Runtime binding; API 24 runs with 1.24.1 and later
	golang.org/x/sys v0.49.0 // signal handlers, free disk space, library loading
	golang.org/x/term v0.47.0 // is it a terminal, and how wide
	gonum.org/v1/gonum v0.16.0 // principal components of steering vectors
	gonum.org/v1/plot v0.17.0 // the pictures of a report
	google.golang.org/protobuf v1.36.12 // the wire format of ONNX
	gorgonia.org/tensor v0.9.3 // tests: the tensors of onnx-go
	pgregory.net/rapid v1.3.0 // tests: laws over random input
)

require (
	codeberg.org/go-fonts/liberation v0.5.0 // indirect
	codeberg.org/go-latex/latex v0.2.0 // indirect
	codeberg.org/go-pdf/fpdf v0.11.1 // indirect
	git.sr.ht/~sbinet/gg v0.7.0 // indirect
	github.com/BurntSushi/toml v1.5.0 // indirect
	github.com/ajstarks/svgo v0.0.0-20211024235047-1546f124cd8b // indirect
	github.com/andybalholm/brotli v1.1.1 // indirect
	github.com/awalterschulze/gographviz v0.0.0-20190522210029-fa59802746ab // indirect
	github.com/chewxy/hm v1.0.0 // indirect
	github.com/chewxy/math32 v1.0.4 // indirect
	github.com/gogo/protobuf v1.3.0 // indirect
	github.com/golang/freetype v0.0.0-20170609003504-e2365dfdc4a0 // indirect
	github.com/golang/protobuf v1.5.0 // indirect
	github.com/google/flatbuffers v1.11.0 // indirect
	github.com/google/uuid v1.6.0 // indirect
	github.com/klauspost/compress v1.17.9 // indirect
	github.com/leesper/go_rng v0.0.0-20190531154944-a612b043e353 // indirect
	github.com/mattn/go-runewidth v0.0.16 // indirect
	github.com/mitchellh/colorstring v0.0.0-20190213212951-d06e56a500db // indirect
	github.com/parquet-go/bitpack v1.0.0 // indirect
	github.com/parquet-go/jsonlite v1.0.0 // indirect
	github.com/pierrec/lz4/v4 v4.1.21 // indirect
	github.com/pkg/errors v0.9.1 // indirect
	github.com/rivo/uniseg v0.4.7 // indirect
	github.com/russross/blackfriday/v2 v2.1.0 // indirect
	github.com/twpayne/go-geom v1.6.1 // indirect
	github.com/xtgo/set v1.0.0 // indirect
	golang.org/x/exp/typeparams v0.0.0-20231108232855-2478ac86f678 // indirect
	golang.org/x/image v0.30.0 // indirect
	golang.org/x/mod v0.41.0 // indirect
	golang.org/x/sync v0.23.0 // indirect
	golang.org/x/text v0.28.0 // indirect
	golang.org/x/tools v0.51.0 // indirect
	gorgonia.org/cu v0.9.0-beta // indirect
	gorgonia.org/dawson v1.1.0 // indirect
	gorgonia.org/gorgonia v0.9.4 // indirect
	gorgonia.org/vecf32 v0.9.0 // indirect
	gorgonia.org/vecf64 v0.9.0 // indirect
	honnef.co/go/tools v0.8.2 // indirect
)

// the linter of "make check"
tool honnef.co/go/tools/cmd/staticcheck
