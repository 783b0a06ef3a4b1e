package ops

import "math"

// These tables hold the pointwise operators that constants are computed with: a gain of 1 + w, the root of a width, a sign.

var unary = map[string]func(float32) float32{
	"Abs":        func(x float32) float32 { return float32(math.Abs(float64(x))) },
	"Neg":        func(x float32) float32 { return -x },
	"Reciprocal": func(x float32) float32 { return 1 / x },
	"Sqrt":       func(x float32) float32 { return float32(math.Sqrt(float64(x))) },
}

var binary = map[string]func(x, y float32) float32{
	"Add": func(x, y float32) float32 { return x + y },
	"Sub": func(x, y float32) float32 { return x - y },
	"Mul": func(x, y float32) float32 { return x * y },
	"Div": func(x, y float32) float32 { return x / y },
	"Pow": func(x, y float32) float32 { return float32(math.Pow(float64(x), float64(y))) },
}
