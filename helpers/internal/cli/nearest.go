package cli

import "strings"

// Nearest is the known name that needs the fewest changes to become this one, if they are few; else it is empty.
func Nearest(name string, known []string) string {
	best, least := "", 4
	if len(name) > 40 {
		return ""
	}
	for _, candidate := range known {
		if far := changes(strings.ToLower(name), strings.ToLower(candidate)); far < least && far <= (len(candidate)+2)/3 {
			best, least = candidate, far
		}
	}
	return best
}

func changes(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j+1]+1, row[j]+1)
		}
	}
	return row[len(b)]
}
