// Command supply prints the licences of every module that is linked into the program, and of the packages in the plotting library of
// its HTML pages, with their texts: what must accompany a binary that is given to others. It refuses when a module has no line in
// licences.txt. With -bom it adds these packages to a bill of materials of the program's modules instead. Run it from the root of the
// repository:
//
//	go run ./scripts/supply >bin/licences.txt
//	go run ./scripts/supply -bom bin/onnx-inject.cdx.json
//
// Its tests are the rows S05 to S07 of the reliability matrix: builds are reproducible, every module is listed, and few are required.
package main

import (
	"bufio"
	"flag"
	"log"
	"os"
	"os/exec"
	"runtime"
	"strings"

	"github.com/onnx-inject/onnx-inject/graph/base/atomicfile"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("supply: ")
	bom := flag.String("bom", "", "add the packages of the plotting library to this `file` (CycloneDX, JSON)")
	flag.Parse()
	list, err := readLicences(licencesFile)
	if err != nil {
		log.Fatal(err)
	}
	if *bom != "" {
		if err := rewrite(*bom, list); err != nil {
			log.Fatal(err)
		}
		return
	}
	modules, err := linkedModules()
	if err != nil {
		log.Fatal(err)
	}
	packages, err := pagePackages(".")
	if err != nil {
		log.Fatal(err)
	}
	modules = append(modules, packages...)
	if err := checkLicences(list, modules); err != nil {
		log.Fatal(err)
	}
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		log.Fatal(failed("go env", err))
	}
	modules = append(modules, linked{Path: "std", Version: runtime.Version(), Dir: strings.TrimSpace(string(root))})
	list["std"] = "BSD-3-Clause"
	w := bufio.NewWriter(os.Stdout)
	if err := writeLicences(w, list, modules); err != nil {
		log.Fatal(err)
	}
	if err := w.Flush(); err != nil {
		log.Fatal(err)
	}
}

// rewrite adds the packages of the plotting library to a bill of materials.
func rewrite(bom string, licences map[string]string) error {
	old, err := os.ReadFile(bom)
	if err != nil {
		return err
	}
	b, err := addPages(old, ".", licences)
	if err != nil {
		return err
	}
	return atomicfile.Write(bom, append(b, '\n'), true)
}
