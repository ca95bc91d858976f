package migrate

import (
	"os"
	"os/user"
)

// Who is the build, where there is one, else the person.
func Who() string {
	for _, name := range []string{"BUILD_TAG", "USER"} {
		if value := os.Getenv(name); value != "" {
			return value
		}
	}
	if account, err := user.Current(); err == nil {
		return account.Username
	}
	return "unknown"
}
