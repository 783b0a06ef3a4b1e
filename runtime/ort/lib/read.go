package lib

import (
	"bytes"
	"debug/elf"
	"debug/macho"
	"debug/pe"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// readLibrary reads platform and version from the headers of a shared library. Each format stores the version elsewhere:
// ELF in the name of the symbol version (VERS_1.30.0), Mach-O in LC_ID_DYLIB, PE in VS_FIXEDFILEINFO.
func readLibrary(path string) (Info, error) {
	f, err := os.Open(path)
	if err != nil {
		return Info{}, err
	}
	defer f.Close()
	var magic [4]byte
	if _, err := io.ReadFull(f, magic[:]); err != nil {
		return Info{}, errors.New("not a shared library")
	}
	switch {
	case string(magic[:]) == elf.ELFMAG:
		return readELF(f)
	case binary.LittleEndian.Uint32(magic[:]) == macho.Magic64:
		return readMachO(f)
	case string(magic[:2]) == "MZ":
		return readPE(f)
	}
	return Info{}, errors.New("not a shared library")
}

func readELF(r io.ReaderAt) (Info, error) {
	f, err := elf.NewFile(r)
	if err != nil {
		return Info{}, err
	}
	if f.Type != elf.ET_DYN {
		return Info{}, errors.New("not a shared library")
	}
	arch, ok := map[elf.Machine]string{elf.EM_X86_64: "amd64", elf.EM_AARCH64: "arm64"}[f.Machine]
	if !ok {
		arch = f.Machine.String()
	}
	info := Info{Platform: "linux/" + arch}
	versions, err := f.DynamicVersions()
	if err != nil && !errors.Is(err, elf.ErrNoSymbols) {
		return info, nil // a library without version definitions does not state its version
	}
	for _, v := range versions {
		if s, ok := strings.CutPrefix(v.Name, "VERS_"); ok {
			info.Version = s
		}
	}
	return info, nil
}

func readMachO(r io.ReaderAt) (Info, error) {
	f, err := macho.NewFile(r)
	if err != nil {
		return Info{}, err
	}
	if f.Type != macho.TypeDylib {
		return Info{}, errors.New("not a shared library")
	}
	arch, ok := map[macho.Cpu]string{macho.CpuAmd64: "amd64", macho.CpuArm64: "arm64"}[f.Cpu]
	if !ok {
		arch = f.Cpu.String()
	}
	info := Info{Platform: "darwin/" + arch}
	const idDylib = 0xd // LC_ID_DYLIB: command, size, name offset, timestamp, current version as 16.8.8 bits
	for _, l := range f.Loads {
		if raw := l.Raw(); len(raw) >= 20 && f.ByteOrder.Uint32(raw) == idDylib {
			v := f.ByteOrder.Uint32(raw[16:])
			info.Version = fmt.Sprintf("%d.%d.%d", v>>16, v>>8&255, v&255)
		}
	}
	return info, nil
}

func readPE(r io.ReaderAt) (Info, error) {
	f, err := pe.NewFile(r)
	if err != nil {
		return Info{}, err
	}
	if f.Characteristics&pe.IMAGE_FILE_DLL == 0 {
		return Info{}, errors.New("not a shared library")
	}
	arch, ok := map[uint16]string{pe.IMAGE_FILE_MACHINE_AMD64: "amd64", pe.IMAGE_FILE_MACHINE_ARM64: "arm64"}[f.Machine]
	if !ok {
		arch = fmt.Sprintf("machine(%#x)", f.Machine)
	}
	info := Info{Platform: "windows/" + arch}
	if s := f.Section(".rsrc"); s != nil {
		data, err := s.Data()
		if err != nil {
			return Info{}, err
		}
		// VS_FIXEDFILEINFO: signature, structure version, then the file version as four 16-bit numbers.
		if i := bytes.Index(data, []byte{0xbd, 0x04, 0xef, 0xfe}); i >= 0 && len(data) >= i+16 {
			hi, lo := binary.LittleEndian.Uint32(data[i+8:]), binary.LittleEndian.Uint32(data[i+12:])
			info.Version = fmt.Sprintf("%d.%d.%d", hi>>16, hi&0xffff, lo>>16)
		}
	}
	return info, nil
}

// Needed lists the libraries that the ELF library at path is linked with; it returns nil for other formats.
func Needed(path string) ([]string, error) {
	f, err := elf.Open(path)
	var format *elf.FormatError
	if errors.As(err, &format) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	defer f.Close()
	return f.ImportedLibraries()
}
