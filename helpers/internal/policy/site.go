package policy

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	slipway "slipway.dev/slipway/helpers/internal/cli"
)

// Flag names the site's policy.
var Flag = &cli.StringFlag{Name: "policy", EnvVars: []string{"SLIPWAY_POLICY"},
	Usage: "the site's policy for production, a YAML `FILE`; in a folder that is empty or absent it may be missing"}

// Site is the policy of a site. Without one, Production asks for nothing but a named approver.
type Site struct {
	File       string
	Hash       string // of the file and its keys; empty: there is no policy
	Production Production
}

// Of loads the policy that the flag names.
func Of(c *cli.Context) (*Site, error) {
	file := c.String(Flag.Name)
	if file == "" {
		return &Site{}, nil
	}
	site, err := Load(file)
	if errors.Is(err, fs.ErrNotExist) && noneIn(filepath.Dir(file)) {
		return &Site{}, nil
	}
	return site, err
}

// noneIn says whether a folder is as Kubernetes mounts a ConfigMap that does not exist, or that has the scan's waivers alone.
// A policy under another name is no such thing.
func noneIn(folder string) bool {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return errors.Is(err, fs.ErrNotExist)
	}
	for _, entry := range entries {
		if !strings.HasPrefix(entry.Name(), "..") && entry.Name() != "waivers.yaml" {
			return false
		}
	}
	return true
}

// Load reads a policy and the keys beside it.
func Load(file string) (*Site, error) {
	body, err := os.ReadFile(file)
	if err != nil {
		return nil, slipway.Usagef("the policy cannot be read").Because(err).
			Next("put it there: the ConfigMap slipway-policy holds it under the key policy.yaml")
	}
	found, err := Parse(body)
	if err != nil {
		var mistakes Mistakes
		errors.As(err, &mistakes)
		return nil, slipway.Usagef("the policy %s has %s", file, counted(len(mistakes))).Because(err).
			Next("correct them; slipway policy check %s lists them one a line", file)
	}
	site := &Site{File: file, Production: found.Production}
	sum := sha256.New()
	fmt.Fprintf(sum, "policy %x\n", sha256.Sum256(body))
	for _, name := range found.Production.Evidence.Keys {
		key, err := os.ReadFile(site.Beside(name))
		if err != nil {
			return nil, slipway.Usagef("the policy %s names a key that cannot be read", file).Because(err).
				Next("put %s beside the policy", name)
		}
		fmt.Fprintf(sum, "key %s %x\n", name, sha256.Sum256(key))
	}
	site.Hash = hex.EncodeToString(sum.Sum(nil))
	return site, nil
}

// Beside is the path of a file in the policy's folder.
func (s *Site) Beside(name string) string { return filepath.Join(filepath.Dir(s.File), name) }

// Keys are the files of the public keys that evidence must be signed with.
func (s *Site) Keys() []string {
	var files []string
	for _, name := range s.Production.Evidence.Keys {
		files = append(files, s.Beside(name))
	}
	return files
}

func counted(mistakes int) string {
	if mistakes == 1 {
		return "one mistake"
	}
	return fmt.Sprintf("%d mistakes", mistakes)
}

// Missing are the parts of a policy that this site does not have, by name, and what that means.
func (s *Site) Missing() []string {
	if s.Hash == "" {
		return []string{"this site has no policy (ConfigMap slipway-policy): the call and its defaults decide, and one named user approves"}
	}
	p, lines := s.Production, []string{}
	for _, each := range []struct {
		absent     bool
		name, then string
	}{
		{p.Approvals[Migration].Required == 0, "production.approvals.migration", "one approval is enough for a migration"},
		{p.Approvals[Promotion].Required == 0, "production.approvals.promotion", "one approval is enough for a promotion"},
		{len(p.Windows) == 0, "production.windows", "production may be changed at any time"},
		{len(p.Evidence.Keys) == 0, "production.evidence.keys",
			"evidence counts without a signature: every login that may push to the registry can write it"},
		{p.Evidence.ScanMaxAge == 0, "production.evidence.scanMaxAge", "a scan of any age is accepted"},
		{p.Canary == Canary{}, "production.canary", "the call decides how a canary is tried"},
		{p.Breaking == "", "production.breaking", "the call decides by allowBreaking whether a breaking migration may be approved"},
		{p.PrivilegedSQL == "", "production.privilegedSql", "a migration may change roles, rights and the server"},
	} {
		if each.absent {
			lines = append(lines, "the policy has no "+each.name+": "+each.then)
		}
	}
	return lines
}
