package registry

import (
	"fmt"
	"net/http"
	"net/netip"
	"net/url"

	slipway "slipway.dev/slipway/helpers/internal/cli"
)

// moveRealm: go-containerregistry takes no realm at a private address but the registry's own host and
// port, so that a registry cannot send it to other services of a network. In a company's network tokens
// are made just there, at another port for example. A host that --token-host names is such a place: its
// realm is written as one of the registry's, and toRealm sends the request where it belongs.
func (g *guard) moveRealm(header http.Header) error {
	values := header.Values("Www-Authenticate")
	for i, value := range values {
		match := realmOf.FindStringSubmatchIndex(value)
		if match == nil {
			continue
		}
		realm, err := url.Parse(value[match[2]:match[3]])
		if err != nil || realm.Host == g.hosts[0] || !isPrivate(realm.Hostname()) {
			continue
		}
		if !g.named(realm.Host) {
			return slipway.Usagef("the registry wants the login sent to %s, which nobody named; it was not sent", realm.Host).
				Next("if that host is right: --token-host %s", realm.Host)
		}
		g.lock.Lock()
		if g.tokens == nil {
			g.tokens = map[string]string{}
		}
		g.tokens[realm.Path] = realm.Host
		g.lock.Unlock()
		realm.Host = g.hosts[0]
		values[i] = fmt.Sprint(value[:match[2]], realm, value[match[3]:])
	}
	return nil
}

// toRealm sends a request for a token where the realm was before.
func (g *guard) toRealm(request *http.Request) *http.Request {
	g.lock.Lock()
	host, moved := g.tokens[request.URL.Path]
	g.lock.Unlock()
	if !moved || request.URL.Host != g.hosts[0] {
		return request
	}
	sent := request.Clone(request.Context())
	sent.URL.Host, sent.Host = host, host
	return sent
}

func isPrivate(host string) bool {
	address, err := netip.ParseAddr(host)
	return err == nil && (address.IsPrivate() || address.IsLoopback() || address.IsLinkLocalUnicast())
}
