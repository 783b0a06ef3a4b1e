#!/usr/bin/env python3
"""Writes the tables of Unicode that Hugging Face's tokenizers works with, by asking it.

Usage: unicode.py, in a Python with tokenizers. It writes, under models/tokenizer,

    pattern/categories.txt, pattern/scripts.txt    a range of code points and its general category, or its script
    normal/tables.txt                              the normal forms and lower case, see models/tokenizer/normal

Its regular expressions, its normal forms and its lower case each follow another edition of Unicode, none of them Go's; asking is
the only way to know them for certain.
"""
import pathlib
import unicodedata

from tokenizers import Regex, normalizers, pre_tokenizers

CATEGORIES = "Lu Ll Lt Lm Lo Mn Mc Me Nd Nl No Pc Pd Ps Pe Pi Pf Po Sm Sc Sk So Zs Zl Zp Cc Cf Co".split()
SCRIPTS = """Arabic Armenian Bengali Bopomofo Common Cyrillic Devanagari Ethiopic Georgian Greek Gujarati Gurmukhi Han Hangul Hebrew
Hiragana Inherited Kannada Katakana Khmer Lao Latin Malayalam Mongolian Myanmar Oriya Sinhala Tamil Telugu Thai Tibetan""".split()
CHARACTERS = [chr(c) for c in range(0x110000) if not 0xD800 <= c <= 0xDFFF]
FOLDER = pathlib.Path(__file__).resolve().parents[2] / "models/tokenizer"

nfc, nfd, nfkd, lower = (n.normalize_str for n in (normalizers.NFC(), normalizers.NFD(), normalizers.NFKD(), normalizers.Lowercase()))


def members(name):
    split = pre_tokenizers.Split(Regex(r"\p{%s}" % name), "removed", invert=True)
    return sorted(ord(c) for c, _ in split.pre_tokenize_str("".join(CHARACTERS)))


def ranges(points):
    out = []
    for c in points:
        if out and out[-1][1] == c - 1:
            out[-1][1] = c
        else:
            out.append([c, c])
    return out


def write(file, lines):
    (FOLDER / file).write_text("".join(line + "\n" for line in lines))
    print(f"{file}: {len(lines)} lines")


def classes(names):
    return [f"{lo:X} {hi:X} {name}" for lo, hi, name in sorted((lo, hi, name) for name in names for lo, hi in ranges(members(name)))]


def combining():
    """The combining class of each mark: where it goes among marks whose class is old and known."""
    known = {}
    for c in CHARACTERS:
        if k := unicodedata.ucd_3_2_0.combining(c):
            known.setdefault(k, c)
    known = sorted(known.items())
    out = {}
    for c in CHARACTERS:
        if not unicodedata.category(c).startswith("M") and nfd("\u0345" + c + "\u0334") == "\u0345" + c + "\u0334":
            continue
        after = [k for k, mark in known if nfd("a" + c + mark) == "a" + mark + c]
        before = [k for k, mark in known if nfd("a" + mark + c) == "a" + c + mark]
        if nfd(c) != c or not after and not before:
            continue
        between = [k for k, mark in known if mark == c or k not in after and k not in before]
        k = between[0] if between else unicodedata.combining(c)  # a class that no old mark has
        assert len(between) < 2 and max(after, default=0) < k + bool(between) and k < min(before, default=999) + bool(between), hex(ord(c))
        out.setdefault(k, []).append(ord(c))
    return out


def spell(s):
    return " ".join(f"{ord(c):X}" for c in s)


def normal():
    lines = []
    for k, points in sorted(combining().items()):
        lines += [f"class {k} {lo:X} {hi:X}" for lo, hi in ranges(sorted(points))]
    for c in CHARACTERS:
        if "\uac00" <= c <= "\ud7a3":  # Hangul is arithmetic
            continue
        d = nfd(c)
        if d != c:
            lines.append(f"canonical {spell(c)} {spell(d)}")
            if nfc(c) == c and len(d) > 1:
                lines.append(f"compose {spell(nfc(d[:-1]) + d[-1])} {spell(c)}")
        if nfkd(c) != d:
            lines.append(f"compatible {spell(c)} {spell(nfkd(c))}")
        if lower(c) != c:
            lines.append(f"lower {spell(c)} {spell(lower(c))}")
    return lines


if __name__ == "__main__":
    write("pattern/categories.txt", classes(CATEGORIES))
    write("pattern/scripts.txt", classes(SCRIPTS))
    write("normal/tables.txt", normal())
