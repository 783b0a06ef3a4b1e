package results

import "slices"

// renamed is in front of the name of a column of the data that a column of the results has as well.
const renamed = "data_"

// NameColumns returns the names that further columns of the data have in prompts.csv: their own names, or data_relation for a column
// relation that prompts.csv or cells.csv has itself. So no column of a folder has two meanings, and prompts.csv can be joined to
// cells.csv. pairs is [Manifest.Pairs]. No two names may be equal.
func NameColumns(names []string, pairs int) []string {
	m := &Manifest{Told: true, Pairs: pairs}
	fixed := slices.Concat(m.promptColumns(), cellColumns, placeColumns, []string{checksumColumn})
	out := slices.Clone(names)
	for i, name := range out {
		for slices.Contains(fixed, name) || name != names[i] && slices.Contains(names, name) {
			name = renamed + name
		}
		out[i] = name
	}
	return out
}

// Column returns what the data has in a further column, by prompt in the order of r.Prompts; false when the results have no such column.
func (r *Run) Column(name string) (values []string, ok bool) {
	i := slices.Index(r.Manifest.Columns, name)
	if i < 0 {
		return nil, false
	}
	for _, p := range r.Prompts {
		values = append(values, p.Further[i])
	}
	return values, true
}
