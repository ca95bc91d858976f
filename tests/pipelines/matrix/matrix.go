// Package matrix is a table in docs/stop-matrix.md that tests fill cell by cell: a cell
// that is not played now keeps what it was, as long as its row and column are still there.
package matrix

import (
	"fmt"
	"os"
	"strings"
	"sync"
)

// Row is a step of a pipeline.
type Row struct{ Stage, Step string }

// Table is one of the file's.
type Table struct {
	file, begin, end string
	rows             []Row
	columns          []string
	count            int
	lock             sync.Mutex
	cells            map[string]string
}

// Open reads the table between the marks of that name; count is how many cells there can be.
func Open(file, name string, rows []Row, columns []string, count int) (*Table, error) {
	t := &Table{file: file, begin: "<!-- " + name + ": begin -->\n", end: "<!-- " + name + ": end -->\n", rows: rows, columns: columns,
		count: count, cells: map[string]string{}}
	_, old, _, err := t.parts()
	if err != nil {
		return nil, err
	}
	var header []string
	for _, line := range strings.Split(old, "\n") {
		fields := strings.Split(strings.Trim(line, "|"), "|")
		switch {
		case !strings.HasPrefix(line, "| "):
		case header == nil:
			header = fields
		case len(fields) == len(header):
			for i := 2; i < len(fields); i++ {
				t.cells[key(Row{strings.TrimSpace(fields[0]), strings.TrimSpace(fields[1])},
					strings.TrimSpace(header[i]))] = strings.TrimSpace(fields[i])
			}
		}
	}
	return t, nil
}

func key(row Row, column string) string { return row.Stage + "|" + row.Step + "|" + column }

func (t *Table) parts() (before, table, after string, err error) {
	text, err := os.ReadFile(t.file)
	if err != nil {
		return "", "", "", err
	}
	before, rest, found := strings.Cut(string(text), t.begin)
	table, after, ended := strings.Cut(rest, t.end)
	if !found || !ended {
		return "", "", "", fmt.Errorf("%s has no lines %s and %s", t.file, strings.TrimSpace(t.begin), strings.TrimSpace(t.end))
	}
	return before, table, after, nil
}

// Good says whether a cell was played and ended as it must.
func (t *Table) Good(row Row, column string) bool {
	t.lock.Lock()
	defer t.lock.Unlock()
	outcome := t.cells[key(row, column)]
	return outcome != "" && !strings.HasPrefix(outcome, "**")
}

// Put writes how a cell ended; one that ended as it must not stands out.
func (t *Table) Put(row Row, column, outcome string, good bool) error {
	t.lock.Lock()
	defer t.lock.Unlock()
	if outcome = strings.ReplaceAll(outcome, "|", "/"); !good {
		outcome = "**" + outcome + "**"
	}
	t.cells[key(row, column)] = outcome
	before, _, after, err := t.parts()
	if err != nil {
		return err
	}
	return os.WriteFile(t.file, []byte(before+t.begin+t.text()+t.end+after), 0o644)
}

func (t *Table) text() string {
	played, good := 0, 0
	var lines strings.Builder
	for _, row := range t.rows {
		fmt.Fprintf(&lines, "| %s | %s |", row.Stage, row.Step)
		for _, column := range t.columns {
			outcome := t.cells[key(row, column)]
			fmt.Fprintf(&lines, " %s |", outcome)
			if outcome != "" {
				played++
			}
			if outcome != "" && !strings.HasPrefix(outcome, "**") {
				good++
			}
		}
		lines.WriteString("\n")
	}
	return fmt.Sprintf("%d steps, %d cells, %d played, %d as they must be.\n\n| stage | step | %s |\n|---|---|%s\n%s",
		len(t.rows), t.count, played, good, strings.Join(t.columns, " | "), strings.Repeat("---|", len(t.columns)), lines.String())
}
