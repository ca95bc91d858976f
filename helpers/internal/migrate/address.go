package migrate

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/lib/pq"
	"github.com/sirupsen/logrus"

	slipway "slipway.dev/slipway/helpers/internal/cli"
)

// parameter is one of a database's address.
type parameter struct{ name, value string }

// readAddress reads DATABASE_URL as libpq does, in both its forms, and gives what the
// driver understands; the rest is followed here, or named.
// https://www.postgresql.org/docs/17/libpq-connect.html#LIBPQ-CONNSTRING
func readAddress(address string) ([]parameter, error) {
	rest, isURL := strings.CutPrefix(address, "postgresql://")
	if !isURL {
		rest, isURL = strings.CutPrefix(address, "postgres://")
	}
	if !isURL {
		return readPairs(address)
	}
	var found []parameter
	rest, query, _ := strings.Cut(rest, "?")
	authority, path, _ := strings.Cut(rest, "/")
	if at := strings.LastIndexByte(authority, '@'); at >= 0 {
		user, password, hasPassword := strings.Cut(authority[:at], ":")
		found = append(found, parameter{"user", user})
		if hasPassword {
			found = append(found, parameter{"password", password})
		}
		authority = authority[at+1:]
	}
	var hosts, ports []string
	for _, host := range strings.Split(authority, ",") {
		name, port := host, ""
		if end := strings.LastIndexByte(host, ']'); end >= 0 && strings.HasPrefix(host, "[") {
			name, port = host[1:end], strings.TrimPrefix(host[end+1:], ":")
		} else if colon := strings.LastIndexByte(host, ':'); colon >= 0 {
			name, port = host[:colon], host[colon+1:]
		}
		if _, err := strconv.ParseUint(port, 10, 16); port != "" && err != nil {
			return nil, errors.New("a port is no number")
		}
		hosts, ports = append(hosts, name), append(ports, port)
	}
	found = append(found, parameter{"host", strings.Join(hosts, ",")}, parameter{"port", strings.Join(ports, ",")}, parameter{"dbname", path})
	for _, pair := range strings.Split(query, "&") {
		if name, value, _ := strings.Cut(pair, "="); pair != "" {
			found = append(found, parameter{name, value})
		}
	}
	decoded := found[:0]
	for _, each := range found {
		value, err := url.PathUnescape(each.value)
		if err != nil {
			return nil, fmt.Errorf("the %s is not percent-encoded rightly", each.name)
		}
		if value != "" && strings.Trim(value, ",") != "" {
			decoded = append(decoded, parameter{each.name, value})
		}
	}
	return decoded, nil
}

// readPairs reads host=... port=..., with values in quotes.
func readPairs(text string) ([]parameter, error) {
	var found []parameter
	for text = strings.TrimSpace(text); text != ""; text = strings.TrimSpace(text) {
		name, rest, equals := strings.Cut(text, "=")
		if name = strings.TrimSpace(name); !equals || strings.ContainsAny(name, " \t\n'") {
			return nil, errors.New("it is neither a URL nor a list such as host=HOST port=PORT")
		}
		rest = strings.TrimLeft(rest, " \t\r\n")
		var value strings.Builder
		quoted := strings.HasPrefix(rest, "'")
		i := 0
		if quoted {
			i = 1
		}
		ended := false
		for ; i < len(rest) && !ended; i++ {
			switch c := rest[i]; {
			case c == '\\' && i+1 < len(rest):
				i++
				value.WriteByte(rest[i])
			case quoted && c == '\'', !quoted && strings.IndexByte(" \t\r\n", c) >= 0:
				ended = true
			default:
				value.WriteByte(c)
			}
		}
		if quoted && !ended {
			return nil, errors.New("a quoted value has no end")
		}
		found = append(found, parameter{name, value.String()})
		text = rest[i:]
	}
	return found, nil
}

// notDrivers are libpq's parameters that the driver does not know, by their
// environment variables.
var notDrivers = map[string]string{
	"PGCHANNELBINDING": "channel_binding", "PGGSSENCMODE": "gssencmode", "PGREQUIREAUTH": "require_auth",
	"PGGSSDELEGATION": "gssdelegation", "PGGSSLIB": "gsslib", "PGSSLCERTMODE": "sslcertmode", "PGSSLCOMPRESSION": "sslcompression",
	"PGREQUIRESSL": "requiressl", "PGSSLCRL": "sslcrl", "PGSSLCRLDIR": "sslcrldir", "PGREQUIREPEER": "requirepeer",
}

// pooling are the parameters of Prisma that are about its own pool.
var pooling = set("connection_limit pool_timeout socket_timeout pgbouncer statement_cache_size")

// configure gives the driver's configuration for an address and the environment,
// a dialer for what is the connection's own, and what is demanded of the login that
// the driver cannot enforce.
func configure(address string) (config pq.Config, dialer *net.Dialer, demands []string, err error) {
	parameters, err := readAddress(address)
	if err != nil {
		return config, nil, nil, err
	}
	for variable, name := range notDrivers {
		value, is := os.LookupEnv(variable)
		os.Unsetenv(variable) // the driver refuses to see it
		if is && !slices.ContainsFunc(parameters, func(p parameter) bool { return p.name == name }) {
			parameters = append(parameters, parameter{name, value})
		}
	}
	if parameters, err = withService(parameters); err != nil {
		return config, nil, nil, err
	}
	defer hidden(parameters)()
	dialer = &net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true}}
	var dsn strings.Builder
	for _, p := range parameters {
		mine, err := follow(p, dialer)
		if err != nil {
			return config, nil, nil, err
		}
		if p.name == "channel_binding" && p.value == "require" || p.name == "require_auth" && p.value != "" {
			demands = append(demands, p.name)
		}
		if p.name == "schema" { // Prisma's
			p.name = "search_path"
		}
		if !mine {
			fmt.Fprintf(&dsn, "%s='%s' ", p.name, strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(p.value))
		}
	}
	config, err = pq.NewConfig(dsn.String())
	return config, dialer, demands, err
}

// proven refuses a demand that the driver cannot enforce, unless the server's
// certificate proves who answers: then nobody else is given the password.
func proven(demands []string, mode pq.SSLMode) error {
	for _, name := range demands {
		if mode != pq.SSLModeVerifyFull {
			return slipway.Usagef("%s cannot be enforced by this program", name).
				Next("set sslmode=verify-full and sslrootcert, which prove that the server is the one that is named; or remove %s", name)
		}
		logrus.Warnf("%s cannot be enforced by this program; sslmode=verify-full proves that the server is the one that is named", name)
	}
	return nil
}

// follow does what a parameter says that the driver does not know.
func follow(p parameter, dialer *net.Dialer) (mine bool, err error) {
	keep := &dialer.KeepAliveConfig
	switch p.name {
	case "keepalives":
		keep.Enable = p.value != "0"
	case "keepalives_idle", "keepalives_interval":
		seconds, err := strconv.Atoi(p.value)
		if err != nil {
			return true, fmt.Errorf("%s is no number of seconds", p.name)
		}
		if p.name == "keepalives_idle" {
			keep.Idle = time.Duration(seconds) * time.Second
		} else {
			keep.Interval = time.Duration(seconds) * time.Second
		}
	case "keepalives_count":
		if keep.Count, err = strconv.Atoi(p.value); err != nil {
			return true, fmt.Errorf("%s is no number", p.name)
		}
	case "gssencmode":
		if p.value == "require" {
			return true, errors.New("gssencmode=require: this program does not encrypt by GSSAPI; use TLS: sslmode=verify-full")
		}
	case "sslcrl", "sslcrldir", "requirepeer":
		if p.value != "" {
			return true, fmt.Errorf("%s is not supported by this program", p.name)
		}
	case "channel_binding", "require_auth", "sslcertmode", "sslcompression", "requiressl", "gssdelegation", "gsslib", "tcp_user_timeout":
	default:
		return pooling[p.name], nil
	}
	return true, nil
}

// pqDialer is a dialer as the driver wants it.
type pqDialer struct{ *net.Dialer }

// DialTimeout dials with a time limit of its own.
func (d pqDialer) DialTimeout(network, address string, timeout time.Duration) (net.Conn, error) {
	limited := *d.Dialer
	limited.Timeout = timeout
	return limited.Dial(network, address)
}
