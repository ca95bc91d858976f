package scaffold

import (
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// image is what the last stage of a Dockerfile says of a container.
type image struct {
	ports  []int
	health string
	user   int64 // 0 where it is not given as a number
}

var (
	continued  = regexp.MustCompile(`\\[ \t]*\r?\n`)
	comment    = regexp.MustCompile(`(?m)^[ \t]*#[^\n]*\n`)
	word       = regexp.MustCompile(`"[^"]*"|'[^']*'|\S+`)
	healthPath = regexp.MustCompile(`https?://[^/\s"',]+(/[A-Za-z0-9._~/-]*)`)
)

// readDockerfile reads EXPOSE, HEALTHCHECK and USER of the last stage, with the values that ARG and ENV give there.
func readDockerfile(text string) image {
	var found image
	var name string
	stages, variables := map[string]image{}, map[string]string{}
	text = continued.ReplaceAllString(comment.ReplaceAllString(text+"\n", ""), " ")
	for _, line := range strings.Split(text, "\n") {
		instruction, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		rest = strings.TrimSpace(rest)
		switch strings.ToUpper(instruction) {
		case "FROM":
			if name != "" {
				stages[name] = found
			}
			words := strings.Fields(expand(rest, variables))
			words = slices.DeleteFunc(words, func(word string) bool { return strings.HasPrefix(word, "--") })
			found, name = image{}, ""
			if len(words) > 0 {
				found = stages[strings.ToLower(words[0])]
			}
			if len(words) == 3 && strings.EqualFold(words[1], "AS") {
				name = strings.ToLower(words[2])
			}
		case "ARG", "ENV":
			assign(variables, rest)
		case "EXPOSE":
			for _, each := range strings.Fields(expand(rest, variables)) {
				number, protocol, _ := strings.Cut(each, "/")
				port, err := strconv.Atoi(number)
				if err == nil && !strings.EqualFold(protocol, "udp") && !slices.Contains(found.ports, port) {
					found.ports = append(slices.Clone(found.ports), port)
				}
			}
		case "HEALTHCHECK":
			found.health = ""
			if match := healthPath.FindStringSubmatch(expand(rest, variables)); match != nil {
				found.health = match[1]
			}
		case "USER":
			user, _, _ := strings.Cut(expand(rest, variables), ":")
			found.user, _ = strconv.ParseInt(user, 10, 64)
		}
	}
	return found
}

// assign reads NAME=VALUE NAME=VALUE, and the older form NAME VALUE of ENV.
func assign(variables map[string]string, text string) {
	words := word.FindAllString(text, -1)
	if len(words) == 2 && !strings.Contains(words[0], "=") {
		words = []string{words[0] + "=" + words[1]}
	}
	for _, each := range words {
		if name, value, given := strings.Cut(each, "="); given {
			variables[name] = expand(strings.Trim(value, `"'`), variables)
		}
	}
}

// expand puts the values in the place of $NAME, ${NAME} and ${NAME:-DEFAULT}.
func expand(text string, variables map[string]string) string {
	return os.Expand(text, func(name string) string {
		name, otherwise, _ := strings.Cut(name, ":-")
		if value := variables[name]; value != "" {
			return value
		}
		return otherwise
	})
}
