// Package weights reads the constant matrices and vectors of a model. It knows file and number formats, but nothing about
// layers.
//
//   - A [Weight] is a constant matrix W in any stored form: four float types, transposed or not, bytes with scales, blocks of
//     4 bits ([Block]). Its rows, columns and means are read from the file on demand.
//   - [Columns] reads ranges of columns, in the order of the file.
//   - [Vector] reads a constant vector, such as the weight of a norm.
//
// # Invariants
//
//   - Weights are kept in memory only while they are used, and only [Weight.Dense] ever holds a whole matrix.
//   - Sums over weights are computed in float64.
package weights
