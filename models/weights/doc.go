// Package weights reads the constant matrices and vectors of a model. It knows files and number formats, and nothing of layers.
//
//   - A [Weight] is a constant matrix W in whichever form the file has it: floats of four kinds, either way round, bytes with
//     scales, blocks of 4 bits ([Block]). Its rows, columns and means are read from the file when asked for.
//   - [Columns] reads ranges of columns, in the order in which the file has them.
//   - [Vector] reads a constant vector, such as the weight of a norm.
//
// # What always holds
//
//   - No weight is held in memory longer than it is looked at, and only [Weight.Dense] ever holds a whole one.
//   - Sums over weights are taken in float64.
package weights
