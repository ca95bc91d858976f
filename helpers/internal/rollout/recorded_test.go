package rollout

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/yaml"
)

// Each file of testdata is what the API server of a real cluster showed when its
// rollout had just been judged. tests/rollout makes them: ROLLOUT_RECORD=1.
func TestRecorded(t *testing.T) {
	files, err := filepath.Glob("testdata/*.yaml")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			o, scene := load(t, file)
			if scene.code == "" {
				verdict, _ := Compute(o, scene.at.Add(proofUnasked))
				assert.Equal(t, Done, verdict.State, verdict.Cause)
				return
			}
			_, o.Memory = Compute(o, scene.at)
			// Whatever it is, it is known when its grace and the kubelet's second try are over.
			last, _ := Compute(o, scene.at.Add(scene.grace()+time.Second))
			require.Equal(t, Failed, last.State, last.Cause)
			assert.Equal(t, scene.code, last.Code)
			assert.Contains(t, last.Cause, scene.says)
			assert.NotEmpty(t, tries[last.Code]+scene.says, "there is something to try, or the cause says it all")
		})
	}
}

type recorded struct {
	at               time.Time
	code, says, flag string
}

func (r recorded) grace() time.Duration {
	if r.code == "IMAGE_NOT_FOUND" || r.code == "IMAGE_PULL_DENIED" {
		return DefaultGraces.PullRefused // a record of one instant holds one attempt
	}
	return map[string]time.Duration{
		"pull": DefaultGraces.PullTransient, "config": DefaultGraces.Config, "create": DefaultGraces.Create,
		"unschedulable": DefaultGraces.Unschedulable,
		"claim":         DefaultGraces.Claim, "quota": DefaultGraces.Quota, "webhook": DefaultGraces.Webhook, "stuck": DefaultGraces.Stuck,
	}[r.flag]
}

var headLine = regexp.MustCompile(`(?m)^# (at|code|grace|says): (.*)$`)

func load(t *testing.T, file string) (Objects, recorded) {
	body, err := os.ReadFile(file)
	require.NoError(t, err)
	head := map[string]string{}
	for _, line := range headLine.FindAllStringSubmatch(string(body), -1) {
		head[line[1]] = strings.TrimSpace(line[2])
	}
	scene := recorded{code: head["code"], says: head["says"], flag: head["grace"]}
	scene.at, err = time.Parse(time.RFC3339, head["at"])
	require.NoError(t, err)

	var list struct {
		Items []runtime.RawExtension `json:"items"`
	}
	require.NoError(t, yaml.Unmarshal(body, &list))
	var objects []runtime.Object
	var evidence Evidence
	for _, item := range list.Items {
		object, _, err := scheme.Codecs.UniversalDeserializer().Decode(item.Raw, nil, nil)
		require.NoError(t, err)
		switch object := object.(type) {
		case *corev1.Event:
			evidence.Events = append(evidence.Events, object)
		case *corev1.PersistentVolumeClaim:
			evidence.Claims = append(evidence.Claims, object)
		default:
			objects = append(objects, object)
		}
	}
	o, found := assemble(objects)
	require.True(t, found)
	sortEvents(evidence.Events)
	o.Evidence = evidence
	o.Criteria = Criteria{Start: scene.at.Add(-5 * time.Minute), Graces: DefaultGraces}
	return o, scene
}
