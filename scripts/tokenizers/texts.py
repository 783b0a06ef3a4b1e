"""Texts that tokenizers get wrong, the same for the same seed."""
import json
import random

SCRIPTS = [
    (0x20, 0x7E), (0xA0, 0x17F), (0x180, 0x24F), (0x250, 0x2AF), (0x2B0, 0x2FF), (0x370, 0x3FF), (0x400, 0x52F), (0x531, 0x58F), (0x591, 0x5F4),
    (0x600, 0x6FF), (0x700, 0x7BF), (0x8A0, 0x8FF), (0x900, 0x97F), (0x980, 0x9FF), (0xA00, 0xAFF), (0xB00, 0xBFF), (0xC00, 0xCFF), (0xD00, 0xDFF), (0xE00, 0xEFF),
    (0xF00, 0xFFF), (0x1000, 0x109F), (0x10A0, 0x10FF), (0x1100, 0x11FF), (0x1200, 0x137F), (0x13A0, 0x13F5), (0x1780, 0x17F9), (0x1800, 0x18AF), (0x1AB0, 0x1AFF),
    (0x1DC0, 0x1DFF), (0x1E00, 0x1EFF), (0x1F00, 0x1FFE), (0x2000, 0x206F), (0x2070, 0x209C), (0x20A0, 0x20C0), (0x20D0, 0x20F0), (0x2100, 0x218B), (0x2190, 0x23FF),
    (0x2400, 0x24FF), (0x2500, 0x27BF), (0x2E80, 0x2FDF), (0x3000, 0x303F), (0x3041, 0x30FF), (0x3105, 0x318E), (0x3200, 0x33FF), (0x4E00, 0x9FFF), (0xA000, 0xA48C),
    (0xA4D0, 0xA6FF), (0xA720, 0xA7FF), (0xA8E0, 0xA97F), (0xAC00, 0xD7A3), (0xF900, 0xFAFF), (0xFB00, 0xFDFF), (0xFE00, 0xFE6F), (0xFF00, 0xFFEF), (0xFFF9, 0xFFFD),
    (0x10000, 0x103D5), (0x10400, 0x104FB), (0x10800, 0x10FFF), (0x11000, 0x11FFF), (0x12000, 0x12543), (0x13000, 0x1345F), (0x16800, 0x16FF6), (0x18800, 0x18CFF),
    (0x1B000, 0x1B2FB), (0x1CC00, 0x1CEB3), (0x1D100, 0x1D7FF), (0x1DF00, 0x1E5FF), (0x1E800, 0x1EEF1), (0x1F000, 0x1FBFF), (0x20000, 0x2A6DF), (0x2EBF0, 0x2EE5D),
    (0x30000, 0x323AF), (0xE0001, 0xE01EF), (0xF0000, 0xF0010), (0x10FFF0, 0x10FFFD), (0xE000, 0xE010), (0x0, 0x1F), (0x7F, 0x9F),
]
SPACES = list("    \t\n\r\f\v\u00a0\u0085\u1680\u2000\u2003\u2009\u200a\u2028\u2029\u202f\u205f\u3000") + ["\r\n", "\n\n", "  ", "\u200b", "\ufeff", "\u180e", "\x1c", "\x1f"]
MARKS = list("\u0300\u0301\u0302\u0303\u0308\u030a\u0316\u0323\u0327\u0331\u0334\u0345\u035c\u0489\u05b0\u064b\u0651\u093c\u094d\u0e33\u0e48\u1ab0\u20d0\u3099\u302a\ufe0e\ufe0f\u200d\u200c")
EMOJI = "👩‍👩‍👧‍👦 🏳️‍🌈 👍🏽 🇦🇺🇯🇵 ❤️ 😀 🧑🏿‍🚀 👁️‍🗨️ 1️⃣ #️⃣ 🏴󠁧󠁢󠁳󠁣󠁴󠁿 ☠️ ™️ 🫠 🪿 ©".split()
WORDS = """the quick brown fox's jumped over it's they've I'll we'd HE'S CAN'T don’t rock'n'roll Straße façade naïve Ångström coöperate İstanbul ǅungla ﬁne ﬂow ſhall
Привет мир Ελληνικά ΣΑΣ Здравствуйте العربية עברית हिन्दी संस्कृत বাংলা தமிழ் ไทยภาษาไทย ภาษา ကမြန်မာ ខ្មែរ ქართული Հայերեն አማርኛ 中文測試 漢字かな交じり文 東京は日本の首都です カタカナ 한국어
안녕하세요 각 Việt Nam tiếng CamelCase camelCaseWord HTTPServer XMLHttpRequest snake_case kebab-case SCREAMING_SNAKE x86_64 utf-8 C++ C# .NET v1.2.3 3.14159 1,500,000.75 1.234.567,89
1'000 12:34:56 2024-01-31 +1(555)010-9999 0xDEADBEEF 1e-9 ½ ²³ Ⅷ ٣٤٥ ３４５ १२३ 1st 2nd 100% $5 €10 №5 (a) [b] {c} <d> "e" «f» „g“ — – … ‥ !!! ??? ... --- === #hashtag @user
https://example.org/a?b=c&d=%20#e user@example.com /usr/local/bin C:\\Windows\\System32 \\n \\u00e9 &nbsp; <br/> 'tis 'Twas o'clock y'all'd've 'ſ 'K ΌΣΟΣ ß ŉ ǰ""".split()
CODE = [
    "def f(x, y=1):\n    return {x: y for x in range(10)}\n", "if (a && b || !c) {\n\t\tfoo->bar();\n}\n", "SELECT * FROM t WHERE id = 5;\n", "for i in 0..n { println!(\"{}\", i); }",
    "<div class=\"x\">\n  <p>text</p>\n</div>", "#include <stdio.h>\nint main() { return 0; }", "x = lambda a: a**2 // 3 % 7", "{\"k\": [1, 2.5e-3, null, true]}", "$ ls -la | grep '^d' > /dev/null 2>&1",
    "\\frac{1}{2} \\sum_{i=0}^{n} x_i^2", "```python\nprint('hi')\n```", "// comment\r\n/* block */\r\n", "a\t\tb\t c", "    ", "        return;",
]
ODD = ["", "\x00", "\ufffd", "\ufffe", "\uffff", "\u202e", "<|", "|>", "<|endoftext", "</s", "<0x0A>", "<0xZZ>", "▁", "▁▁the", "Ġ", "Ċ", "ĠĠthe", "##", "</w>", "<unk>", "<s>", "</s>", "[INST]", "\\x00", "%00"]


class Texts:
    """Makes texts; special are the names of added tokens, which appear inside them."""

    def __init__(self, seed, special):
        self.rnd = random.Random(seed)
        self.special = special or ["<|endoftext|>"]

    def character(self):
        if self.rnd.random() < 0.03:
            while True:
                c = self.rnd.randrange(0x110000)
                if not 0xD800 <= c <= 0xDFFF:
                    return chr(c)
        return chr(self.rnd.randint(*self.rnd.choice(SCRIPTS)))

    def script(self, n):
        lo, hi = self.rnd.choice(SCRIPTS)
        return "".join(chr(self.rnd.randint(lo, hi)) for _ in range(n))

    def part(self):
        r = self.rnd
        kind = r.randrange(20)
        if kind < 5:
            return r.choice(WORDS)
        if kind < 7:
            return "".join(r.choice(SPACES) for _ in range(r.choice([1, 1, 2, 3, 8])))
        if kind == 7:
            return self.character()
        if kind == 8:
            return self.script(r.randint(1, 12))
        if kind == 9:
            return "".join(r.choice("eaoAEnsc日かक") + "".join(r.choice(MARKS) for _ in range(r.choice([1, 1, 2, 4, 40]))) for _ in range(r.randint(1, 3)))
        if kind == 10:
            return "".join(r.choice(EMOJI) for _ in range(r.randint(1, 3)))
        if kind == 11:
            return "".join(r.choice("0123456789") for _ in range(r.randint(1, 25)))
        if kind == 12:
            return r.choice(CODE)
        if kind == 13:
            return r.choice(self.special)
        if kind == 14:
            name = r.choice(self.special)
            return r.choice([name[:-1], name[1:], name.upper(), " " + name + " ", name + name, name[: len(name) // 2]])
        if kind == 15:
            return r.choice(ODD)
        if kind == 16:
            return r.choice(["'s", "'S", "'ll", "'VE", "'re", "'ſ", "'d", "'m", "'T", "’s", "'"])
        if kind == 17:
            return "".join(r.choice("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~") for _ in range(r.randint(1, 6)))
        if kind == 18:
            return "".join(r.choice("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") for _ in range(r.randint(1, 9)))
        return r.choice(" abc1\n")

    def text(self):
        r = self.rnd
        kind = r.randrange(40)
        if kind == 0:  # a very long word
            unit = r.choice(["a", "ab", "あ", "Aa", "日本", "=", "-", " ", "\n", "\t", "9", "é", "e\u0301", "😀", "hello", "ไทย", "The", "\u00a0", "한", self.script(3)])
            return unit * r.randint(20, 400)
        if kind == 1:
            return "".join(self.character() for _ in range(r.randint(1, 60)))
        if kind == 2:
            return self.script(r.randint(1, 80))
        joint = r.choice(["", "", " ", " ", " ", "\n"])
        return joint.join(self.part() for _ in range(r.choice([1, 2, 3, 5, 8, 15, 30])))


def quoted(texts):
    """One JSON text a line."""
    return "".join(json.dumps(t) + "\n" for t in texts)
