package phase

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/urfave/cli/v2"

	slipway "slipway.dev/slipway/helpers/internal/cli"
	"slipway.dev/slipway/helpers/internal/deploy"
	"slipway.dev/slipway/helpers/internal/kube"
	run "slipway.dev/slipway/helpers/internal/record"
	"slipway.dev/slipway/helpers/internal/registry"
	"slipway.dev/slipway/helpers/internal/rollout"
)

// stage deploys an image and waits for it; a revision that fails is rolled back. With --smoke the service is asked then, and verified.
func stage(c *cli.Context) error {
	if err := needs(c, "stable", "image"); err != nil {
		return err
	}
	if c.NArg() > 0 {
		return slipway.Usagef("phase deploy does not know what to do with %q", c.Args().First())
	}
	address := c.String("smoke")
	key, err := registry.PrivateKeyOf(c)
	if err == nil && address != "" {
		_, err = web(address) // before anything is changed
	}
	if err != nil {
		return err
	}
	cluster, err := kube.Connect(c)
	if err != nil {
		return err
	}
	options, err := putting(c, c.String("stable"), "staging")
	if err != nil {
		return err
	}
	outcome, err := deploy.Deploy(c.Context, cluster, options)
	if err != nil {
		return slipway.Finish(c, nil, err)
	}
	err = wait(c.Context, c, cluster, options.Name, rollout.Options{
		Criteria: rollout.Criteria{Image: digestOf(options.Image)}, Timeout: c.Duration("timeout"), Rollback: true, MarkGood: true,
	})
	says, fields := cluster.Namespace+" runs "+outcome.To, slipway.Fields{"from": outcome.From, "to": outcome.To, "evidence": ""}
	if err == nil && address != "" {
		if err = verify(c, cluster, address, key); err == nil {
			says, fields["evidence"] = says+", verified", evidenceType
		}
	}
	writePage(c, err, func(r *run.Record) {
		r.PreviousImage, r.Evidence, r.Now = outcome.From, []string{"scan", "sbom", evidenceType}, says
	})
	return slipway.Finish(c, said{says, fields}, err)
}

// evidenceType is that of the evidence that the service answered in staging.
const evidenceType = "staging-verified"

func smoke(c *cli.Context) error {
	address, err := argument(c, "URL")
	if err == nil {
		err = needs(c, "stable", "image")
	}
	if err != nil {
		return err
	}
	cluster, err := kube.Connect(c)
	if err != nil {
		return err
	}
	key, err := registry.PrivateKeyOf(c)
	if err != nil {
		return err
	}
	if err := verify(c, cluster, address, key); err != nil {
		return slipway.Finish(c, nil, err)
	}
	return slipway.Finish(c, said{"verified: " + c.String("image"), slipway.Fields{"evidence": evidenceType}}, nil)
}

// verify asks the service once. The evidence is about one digest, which must still be what answered.
func verify(c *cli.Context, cluster *kube.Cluster, address string, key *registry.PrivateKey) error {
	client, err := registry.Connect(c)
	if err != nil {
		return err
	}
	defer client.Close()
	digest, err := client.Digest(c.String("image"))
	if err != nil {
		return err
	}
	body, err := ask(c.Context, address, time.Second)
	if err != nil {
		// What its pod said last has to be told now: the pod goes when the deployment is undone.
		_ = wait(c.Context, c, cluster, c.String("stable"), rollout.Options{Timeout: time.Minute, Logs: true})
		return err
	}
	running := rollout.Options{Criteria: rollout.Criteria{Image: digest.DigestStr()}, Timeout: time.Minute}
	if err := wait(c.Context, c, cluster, c.String("stable"), running); err != nil {
		return err
	}
	file, err := temporary(body)
	if err != nil {
		return err
	}
	defer os.Remove(file)
	_, err = client.AddEvidence(c.Context, digest, registry.Statement{Type: evidenceType, File: file, Build: c.String("run"), Key: key})
	return err
}

const largestAnswer = 1 << 20

func web(address string) (*url.URL, error) {
	where, err := url.Parse(address)
	if err != nil || where.Scheme != "http" && where.Scheme != "https" || where.Host == "" {
		return nil, slipway.Usagef("%q is no http:// or https:// URL", address)
	}
	return where, nil
}

// ask gives the body of an answer below 400. A service that has just started may refuse a connection for a moment.
func ask(ctx context.Context, address string, pause time.Duration) ([]byte, error) {
	where, err := web(address)
	if err != nil {
		return nil, err
	}
	client := &http.Client{Timeout: 20 * time.Second}
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	var failure error
	for attempt := range 4 {
		if attempt > 0 {
			select {
			case <-time.After(pause << attempt):
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
		var body []byte
		var code int
		if body, code, failure = once(ctx, client, address); failure == nil {
			return body, nil
		}
		if code > 0 && code < 500 && code != http.StatusTooManyRequests { // it will answer so the next time, too
			break
		}
	}
	return nil, slipway.Errorf(slipway.No, "%s does not answer as it should", where.Redacted()).Because(failure).
		Next("read the last lines of its pod above; the parameter smokePath says what is asked")
}

func once(ctx context.Context, client *http.Client, address string) (body []byte, code int, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, 0, err
	}
	answer, err := client.Do(request)
	if err != nil {
		var wrapped *url.Error
		if errors.As(err, &wrapped) {
			err = wrapped.Err
		}
		return nil, 0, err
	}
	defer answer.Body.Close()
	body, err = io.ReadAll(io.LimitReader(answer.Body, largestAnswer))
	switch {
	case err != nil:
		return nil, 0, err
	case answer.StatusCode >= 400:
		return nil, answer.StatusCode, fmt.Errorf("it answers %s", answer.Status)
	}
	return body, answer.StatusCode, nil
}
