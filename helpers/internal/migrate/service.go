package migrate

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// withService puts what a connection service says behind what the address says, as
// libpq does: address, service, environment. (lib/pq 1.12.3 lets the service replace
// the address.) The file is PGSERVICEFILE or ~/.pg_service.conf, then
// pg_service.conf in PGSYSCONFDIR.
// https://www.postgresql.org/docs/17/libpq-pgservice.html
func withService(parameters []parameter) ([]parameter, error) {
	name, given := value(parameters, "service")
	if !given {
		name = os.Getenv("PGSERVICE")
	}
	own := slices.DeleteFunc(parameters, func(p parameter) bool { return p.name == "service" })
	if name == "" {
		return own, nil
	}
	service, err := readService(name)
	if err != nil {
		return nil, err
	}
	for _, p := range service {
		if _, named := value(own, p.name); !named {
			own = append(own, p)
		}
	}
	return append(own, parameter{"service", ""}), nil // the driver does not read it again
}

func value(parameters []parameter, name string) (string, bool) {
	at := slices.IndexFunc(parameters, func(p parameter) bool { return p.name == name })
	if at < 0 {
		return "", false
	}
	return parameters[at].value, true
}

func readService(name string) ([]parameter, error) {
	files := []string{os.Getenv("PGSERVICEFILE")}
	if files[0] == "" {
		files[0] = filepath.Join(os.Getenv("HOME"), ".pg_service.conf")
	}
	if folder := os.Getenv("PGSYSCONFDIR"); folder != "" {
		files = append(files, filepath.Join(folder, "pg_service.conf"))
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if errors.Is(err, fs.ErrNotExist) && file != os.Getenv("PGSERVICEFILE") {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("the service file: %w", err)
		}
		if found, is, err := serviceIn(string(text), name); is || err != nil {
			return found, err
		}
	}
	return nil, fmt.Errorf("no service file defines the service %q", name)
}

// serviceIn gives the parameters of the section [name]. A file's lines may hold
// passwords: an error names a line by its number.
func serviceIn(text, name string) (found []parameter, is bool, err error) {
	for number, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		switch {
		case line == "" || line[0] == '#':
		case line[0] == '[':
			if is {
				return found, true, nil
			}
			is = line == "["+name+"]"
		case is:
			key, value, ok := strings.Cut(line, "=")
			if !ok || key == "" || key == "service" {
				return nil, true, fmt.Errorf("the service file's line %d is no parameter", number+1)
			}
			found = append(found, parameter{strings.TrimSpace(key), strings.TrimSpace(value)})
		}
	}
	return found, is, nil
}

// hidden takes a variable out of the environment for which the parameters have a value of
// their own, until the function that it gives is called: of several hosts or ports in a
// variable, lib/pq 1.12.3 replaces only the first.
func hidden(parameters []parameter) (restore func()) {
	kept := map[string]string{}
	for name, variable := range map[string]string{"host": "PGHOST", "hostaddr": "PGHOSTADDR", "port": "PGPORT"} {
		old, is := os.LookupEnv(variable)
		if given, named := value(parameters, name); is && named && given != "" {
			kept[variable] = old
			os.Unsetenv(variable)
		}
	}
	return func() {
		for variable, old := range kept {
			os.Setenv(variable, old)
		}
	}
}
