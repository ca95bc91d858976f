package rollout

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// pull is what is remembered of one container's attempts to get its image.
type pull struct {
	Attempts int    // that have failed
	Reason   string // the kubelet's last word: ErrImagePull or ImagePullBackOff
	Message  string // why the last attempt failed
}

// missingSecrets is how the kubelet's event names the pull secrets that it could not read.
var missingSecrets = regexp.MustCompile(`pull secrets \(([^)]*)\)`)

const (
	backOff     = "Back-off pulling image"
	pullBackOff = "ImagePullBackOff"
)

// pulling judges a container whose image cannot be had. Kubelets from 1.34 put
// the error into the back-off's message; of older ones it is remembered from the
// attempt, or read from the pod's Failed event.
func pulling(o Objects, pod *corev1.Pod, status corev1.ContainerStatus, memory *Memory) *trouble {
	state := status.State.Waiting
	key := key(pod, status.Name)
	known := memory.Pulls[key]
	if state.Reason != pullBackOff && known.Reason != state.Reason {
		known.Attempts++
	}
	known.Attempts = max(known.Attempts, 1)
	known.Reason = state.Reason
	if said := strings.TrimSpace(state.Message); said != "" && (!strings.HasPrefix(said, backOff) || strings.Contains(said, `": `)) {
		known.Message = said
	}
	told, missing := 0, ""
	for _, event := range o.eventsOf(pod) {
		if names := missingSecrets.FindStringSubmatch(event.Message); names != nil && event.Reason == "FailedToRetrieveImagePullSecret" {
			missing = fmt.Sprintf("; the Secret %s, which its imagePullSecrets name, is not there or cannot be read", names[1])
		}
		if event.Reason == "Failed" && strings.HasPrefix(event.Message, "Failed to pull image") && strings.Contains(event.Message, status.Image) {
			told += int(occurrences(event))
			if known.Message == "" {
				known.Message = event.Message
			}
		}
	}
	known.Attempts = max(known.Attempts, told)
	memory.Pulls[key] = known

	graces := o.Criteria.Graces
	why := essence(known.Message, status.Image)
	found := func(code string, grace time.Duration, text string) *trouble {
		return newTrouble(code, text+missing, pod, status.Name, grace)
	}
	refused := func(code, text string) *trouble {
		t := found(code, graces.PullRefused, text)
		t.times = int32(known.Attempts)
		return t
	}
	switch classify(known.Message, status.Image) {
	case pullNotFound:
		return refused("IMAGE_NOT_FOUND", "the registry does not have the image "+status.Image)
	case pullOtherPlatform:
		return refused("IMAGE_NOT_FOUND", "the registry has the image "+status.Image+" for other platforms than the node's: "+why)
	case pullDenied:
		return refused("IMAGE_PULL_DENIED", "the registry refuses the image "+status.Image+": "+why)
	case pullTransient:
		return found("IMAGE_PULL_FAILED", graces.PullTransient, "the image "+status.Image+" cannot be pulled: "+why)
	}
	return found("IMAGE_PULL_FAILED", graces.Create, "the image "+status.Image+" cannot be pulled: "+why)
}

type pullFault int

const (
	pullUnknown       pullFault = iota // such as a certificate that nobody trusts
	pullTransient                      // may pass
	pullNotFound                       // no second try changes it
	pullOtherPlatform                  // no second try changes it
	pullDenied                         // no second try changes it
)

var (
	transientPull = regexp.MustCompile(`(?i)\btime-?out\b|timed out|deadline exceeded|DeadlineExceeded|too many requests|toomanyrequests|\b429\b|\b50[0-9]\b|internal server error|bad gateway|service unavailable|connection refused|connection reset|no route to host|network is unreachable|no such host|server misbehaving|\bEOF\b|\bi/o\b|code = Unavailable|registry is unavailable`)
	otherPlatform = regexp.MustCompile(`(?i)no match for platform|no matching manifest for|does not match the (specified|expected) platform`)
	deniedPull    = regexp.MustCompile(`(?i)denied|unauthorized|authentication required|no basic auth credentials|forbidden|insufficient_scope|\b401\b|\b403\b`)
	notFoundPull  = regexp.MustCompile(`(?i)not found|manifest unknown|name unknown|code = NotFound|\b404\b`)

	quotedOrAddress = regexp.MustCompile(`"[^"]*"|https?://\S+|sha256:[0-9a-f]+`)
)

// classify tells what kind of fault a pull's message tells of. The names in it
// (an image "denied-page", a host, a digest) are no part of the judgement.
func classify(message, image string) pullFault {
	text := quotedOrAddress.ReplaceAllString(message, " ")
	if image != "" {
		text = strings.ReplaceAll(text, image, " ")
		repository, _, _ := strings.Cut(image, "@")
		text = strings.ReplaceAll(text, repository, " ")
	}
	switch {
	case transientPull.MatchString(text):
		return pullTransient
	case otherPlatform.MatchString(text):
		return pullOtherPlatform
	case deniedPull.MatchString(text):
		return pullDenied
	case notFoundPull.MatchString(text):
		return pullNotFound
	}
	return pullUnknown
}

// essence takes off the layers of wrapping above the registry's own words.
func essence(message, image string) string {
	text := message
	for _, wrapping := range []string{"ErrImagePull: ", "desc = ", `failed to resolve reference "` + image + `": `,
		"failed to resolve image: "} {
		if at := strings.LastIndex(text, wrapping); at >= 0 {
			text = text[at+len(wrapping):]
		}
	}
	if text == "" {
		return "the kubelet does not say why"
	}
	return text
}
