package deploy

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// TrackLabel is on the pods of a canary that slipway has made.
const TrackLabel = "slipway.dev/track"

func labelSet(of map[string]string) labels.Set { return labels.Set(of) }

// identity is what the pods of a canary are told from stable's by.
type identity struct {
	selector *metav1.LabelSelector
	labels   map[string]string
	shared   string // a note, where stable's selector matches the canary's pods as well
}

// identityOf changes the value of one label by which stable's Deployment selects, one that
// no Service needs that is to select both versions: first one whose value is stable's
// name. Where every Service goes by all of them, the canary's pods keep them, and have one
// more label; ownership goes by ownerReferences then.
func identityOf(stable *appsv1.Deployment, name string, services []corev1.Service) identity {
	own := stable.Spec.Template.Labels
	keys := slices.Sorted(maps.Keys(stable.Spec.Selector.MatchLabels))
	slices.SortStableFunc(keys, func(a, b string) int {
		return order(own[b] == stable.Name) - order(own[a] == stable.Name)
	})
	var inFront []corev1.Service
	for _, service := range services {
		if len(service.Spec.Selector) > 0 && labels.SelectorFromSet(service.Spec.Selector).Matches(labelSet(own)) {
			inFront = append(inFront, service)
		}
	}
	for _, key := range keys {
		changed := maps.Clone(own)
		changed[TrackLabel] = "canary"
		if changed[key] = labelValue(own[key] + "-canary"); own[key] == stable.Name {
			changed[key] = labelValue(name)
		}
		reached := len(inFront) == 0 || slices.ContainsFunc(inFront, func(s corev1.Service) bool {
			return labels.SelectorFromSet(s.Spec.Selector).Matches(labelSet(changed))
		}) || slices.ContainsFunc(services, func(s corev1.Service) bool {
			return len(s.Spec.Selector) > 0 && labels.SelectorFromSet(s.Spec.Selector).Matches(labelSet(changed))
		})
		if reached {
			selector := stable.Spec.Selector.DeepCopy()
			selector.MatchLabels[key] = changed[key]
			return identity{selector: selector, labels: changed}
		}
	}
	kept := maps.Clone(own)
	if kept == nil {
		kept = map[string]string{}
	}
	kept[TrackLabel] = "canary"
	selector := stable.Spec.Selector.DeepCopy()
	if selector.MatchLabels == nil {
		selector.MatchLabels = map[string]string{}
	}
	selector.MatchLabels[TrackLabel] = "canary"
	return identity{
		selector,
		kept,
		fmt.Sprintf(
			"the pods of deployment/%s keep all labels by which deployment/%s selects, since every Service in front of it selects by them; "+
				"%s tells them apart",
			name,
			stable.Name,
			TrackLabel+"=canary",
		),
	}
}

// Apart says how the pods of a canary would be told from stable's; the note says what is lost where every Service in front of it
// selects by all of its labels.
func Apart(stable *appsv1.Deployment, canary string, services []corev1.Service) (selector *metav1.LabelSelector, note string) {
	is := identityOf(stable, canary, services)
	return is.selector, is.shared
}

func order(first bool) int {
	if first {
		return 1
	}
	return 0
}

// labelValue shortens what is too long for the value of a label.
func labelValue(text string) string {
	if len(text) <= 63 {
		return text
	}
	return fmt.Sprintf("%s-%x", strings.TrimRight(text[:54], "-_."), sha256.Sum256([]byte(text)))[:63]
}

// plain is an object as maps and lists.
func plain(object any) any {
	var content any
	body, err := json.Marshal(object)
	if err == nil {
		err = json.Unmarshal(body, &content)
	}
	if err != nil {
		return fmt.Sprint(err)
	}
	return content
}

// compare notes the paths at which two objects differ; items of a list that have names are paired by them.
func compare(path string, a, b any, paths *[]string) {
	if reflect.DeepEqual(a, b) {
		return
	}
	x, xMap := named(a)
	y, yMap := named(b)
	if !xMap || !yMap {
		*paths = append(*paths, strings.TrimPrefix(path, "."))
		return
	}
	keys := maps.Clone(x)
	maps.Copy(keys, y)
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		compare(path+"."+key, x[key], y[key], paths)
	}
}

// named gives a map, or a list of named items as one.
func named(value any) (map[string]any, bool) {
	switch value := value.(type) {
	case map[string]any:
		return value, true
	case []any:
		items := map[string]any{}
		for _, item := range value {
			content, _ := item.(map[string]any)
			name, _ := content["name"].(string)
			if _, twice := items[name]; name == "" || twice {
				return nil, false
			}
			items[name] = item
		}
		return items, true
	}
	return nil, false
}
