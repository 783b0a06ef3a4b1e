package report

import (
	"fmt"
	"html/template"
	"image/color"
	"strings"
	"sync"
)

// role is a colour with a meaning. Drawings use only the colours of roles, so that the HTML can replace them.
type role struct {
	name  string // name of the CSS variable
	light color.NRGBA
	dark  color.NRGBA
}

// Readers with colour blindness can distinguish the pairs: Okabe and Ito's blue and vermilion, lighter on a dark background.
var (
	ink     = role{"ink", rgb(0x000000), rgb(0xe8e6e3)}
	paper   = role{"paper", rgb(0xffffff), rgb(0x16181b)}
	rule    = role{"rule", rgb(0xd0d0d0), rgb(0x45494f)}
	first   = role{"first", rgb(0x0072b2), rgb(0x56b4e9)}
	second  = role{"second", rgb(0xd55e00), rgb(0xff9d5c)}
	missing = role{"missing", rgb(0xa8a8a8), rgb(0x6b6f76)}
)

// steps is the diverging scale: blue for less, red for more, no colour for zero. On a light background it is ColorBrewer's RdBu
// with eleven steps, which readers who do not see red or green can distinguish. On a dark background zero is dark and the
// ends are light.
var steps = []role{
	{"step0", rgb(0x053061), rgb(0x8ecbff)},
	{"step1", rgb(0x2166ac), rgb(0x79abd5)},
	{"step2", rgb(0x4393c3), rgb(0x648aab)},
	{"step3", rgb(0x92c5de), rgb(0x506a82)},
	{"step4", rgb(0xd1e5f0), rgb(0x3b4958)},
	{"step5", rgb(0xf7f7f7), rgb(0x26292e)},
	{"step6", rgb(0xfddbc7), rgb(0x51413e)},
	{"step7", rgb(0xf4a582), rgb(0x7d594e)},
	{"step8", rgb(0xd6604d), rgb(0xa8705f)},
	{"step9", rgb(0xb2182b), rgb(0xd4886f)},
	{"step10", rgb(0x67001f), rgb(0xffa07f)},
}

var roles = append([]role{ink, paper, rule, first, second, missing}, steps...)

// scaleColors is the diverging scale in gonum's type.
type scaleColors struct{}

func (scaleColors) Colors() []color.Color {
	var out []color.Color
	for _, s := range steps {
		out = append(out, s.light)
	}
	return out
}

func rgb(hex uint32) color.NRGBA {
	return color.NRGBA{uint8(hex >> 16), uint8(hex >> 8), uint8(hex), 255}
}

func hex(c color.NRGBA) string { return fmt.Sprintf("#%02X%02X%02X", c.R, c.G, c.B) }

// themed replaces the colours of an SVG by gonum with the variables of their roles.
var themed = sync.OnceValue(func() *strings.Replacer {
	var pairs []string
	for _, r := range roles {
		for _, property := range []string{"fill:", "stroke:"} {
			pairs = append(pairs, property+hex(r.light), property+"var(--"+r.name+")")
		}
	}
	return strings.NewReplacer(pairs...)
})

// variables is the CSS that defines the colours of the roles. Print uses the light ones.
func variables() template.CSS {
	var b strings.Builder
	write := func(of func(role) color.NRGBA) {
		b.WriteString(":root{")
		for _, r := range roles {
			fmt.Fprintf(&b, "--%s:%s;", r.name, hex(of(r)))
		}
		b.WriteString("}")
	}
	write(func(r role) color.NRGBA { return r.light })
	b.WriteString("\n@media screen and (prefers-color-scheme: dark){")
	write(func(r role) color.NRGBA { return r.dark })
	b.WriteString("}")
	return template.CSS(b.String())
}
