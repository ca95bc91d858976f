// Package dns has none of the providers by which certificates are proved; their clients
// are a third of what Traefik is built from.
package dns

import (
	"fmt"

	"github.com/go-acme/lego/v4/challenge"
)

// NewDNSChallengeProviderByName fails.
func NewDNSChallengeProviderByName(name string) (challenge.Provider, error) {
	return nil, fmt.Errorf("the DNS provider %s is not in this build", name)
}
