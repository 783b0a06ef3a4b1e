package report

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/onnx-inject/onnx-inject/graph/base/hint"
	"github.com/onnx-inject/onnx-inject/runtime/study/results"
	"github.com/onnx-inject/onnx-inject/runtime/study/stats"
)

// Limits on the values of a column. A table of thousands of groups would show single prompts.
const (
	mostGroups = 1000 // that a report shows
	mostListed = 20   // of a column that [Groupable] lists
)

// Grouped is the effect of each series by the values of one column of the data.
type Grouped struct {
	Column string          `json:"column"`
	Series []GroupedSeries `json:"series"` // without those whose run does not have the column
}

// GroupedSeries is one series by the values of the column.
type GroupedSeries struct {
	Series int           `json:"series"` // position in the summary
	Name   string        `json:"name"`   // as in [Report.Names]
	Groups []stats.Group `json:"groups"` // the largest effect first
}

// ShownValue is how a report shows a value of a column: shortened, and in words where it is empty.
func ShownValue(value string) string {
	if strings.TrimSpace(value) == "" {
		return "(empty)"
	}
	return cut(value, 40)
}

// Groupable lists the columns of the data by which results can be grouped usefully: those with 2 to 20 different values in a run.
func Groupable(runs []*results.Run) (out []string) {
	for _, r := range runs {
		for _, name := range r.Manifest.Columns {
			if n := values(r, name, mostListed); n >= 2 && n <= mostListed && !slices.Contains(out, name) {
				out = append(out, name)
			}
		}
	}
	return out
}

// values is the number of different values of a run in a column, or most+1 when there are more than most.
func values(r *results.Run, column string, most int) int {
	seen := map[string]bool{}
	i := slices.Index(r.Manifest.Columns, column)
	for p := 0; i >= 0 && p < len(r.Prompts) && len(seen) <= most; p++ {
		seen[r.Prompts[p].Further[i]] = true
	}
	return len(seen)
}

// CheckColumn refuses a column that no run has, or that has too many values for a table.
func CheckColumn(runs []*results.Run, column string) error {
	var names []string
	for _, r := range runs {
		for _, name := range r.Manifest.Columns {
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
		if values(r, column, mostGroups) > mostGroups {
			return fmt.Errorf("want a column with at most %d different values, %q has more", mostGroups, column)
		}
	}
	switch {
	case names == nil:
		return hint.With(errors.New("the results have no columns of the data besides those of the prompts"),
			"eval keeps all columns of --data; an earlier version did not: evaluate again into another folder")
	case !slices.Contains(names, column):
		return fmt.Errorf("no column %q, the results have %s", column, Some(names))
	}
	return nil
}

// Some lists names, and of many the first twenty.
func Some(names []string) string {
	if n := len(names); n > 20 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:20], ", "), n-20)
	}
	return strings.Join(names, ", ")
}

// groupRow is a group in the table of all groups.
type groupRow struct {
	Number             int // of the series
	Label, Cell, Value string
	stats.Group
}

// Rows lists the groups of all series.
func (g groupTable) Rows() (out []groupRow) {
	for _, x := range g.Series {
		s := g.all[x.Series]
		b, _ := s.best(stats.ByLogOdds)
		for _, group := range x.Groups {
			out = append(out, groupRow{s.Number, s.Label, s.cellOf(b.Effect).Brief(), ShownValue(group.Value), group})
		}
	}
	return out
}

// groupTable is what the page shows of the groups.
type groupTable struct {
	*Grouped
	all []*series
}

// groupBy groups each series by a column; nil without a column.
func groupBy(all []*series, column string) (*Grouped, error) {
	if column == "" {
		return nil, nil
	}
	g := &Grouped{Column: column, Series: []GroupedSeries{}}
	for i, s := range all {
		groups, err := s.GroupBy(s.run, column, stats.ByLogOdds)
		if err != nil {
			return nil, err
		}
		if groups != nil {
			g.Series = append(g.Series, GroupedSeries{i, s.Label, groups})
		}
	}
	return g, nil
}
