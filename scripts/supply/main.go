// Command supply prints the licences of every module that is linked into the program, and of the packages in the plotting library of
// its HTML pages, with their texts: what must accompany a binary that is given to others. It refuses when a module has no line in licences.txt. Run it from the root of the repository:
//
//	go run ./scripts/supply >bin/licences.txt
//
// Its tests are the rows S05 to S07 of the reliability matrix: builds are reproducible, every module is listed, and few are required.
package main

import (
	"bufio"
	"log"
	"os"
	"os/exec"
	"runtime"
	"strings"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("supply: ")
	list, err := readLicences(licencesFile)
	if err != nil {
		log.Fatal(err)
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
