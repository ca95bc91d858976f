package check

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	repository "slipway.dev/slipway"
)

// fieldRegistry is the registry that the manifests of this repository name; a site puts its own in its place.
const fieldRegistry = "10.10.70.84:30051"

// clusterWide are the kinds of the manifests that no namespace has.
var clusterWide = []string{"Namespace", "ClusterRole", "ClusterRoleBinding", "ValidatingAdmissionPolicy",
	"ValidatingAdmissionPolicyBinding"}

// Manifests renders a folder of k8s/ as kubectl apply -k does, with the namespaces of the site, and its registry where it has one.
// Of kustomize it knows what those folders use: namespace and resources.
func Manifests(folder string, rename map[string]string, registry string) ([]*unstructured.Unstructured, error) {
	objects, err := render(repository.Files, path.Join("k8s", folder))
	if err != nil {
		return nil, err
	}
	for _, object := range objects {
		renameIn(object.Object, rename)
		if registry != "" {
			replaceIn(object.Object, fieldRegistry, registry)
		}
	}
	return objects, nil
}

func render(files fs.FS, folder string) ([]*unstructured.Unstructured, error) {
	body, err := fs.ReadFile(files, path.Join(folder, "kustomization.yaml"))
	if err != nil {
		return nil, err
	}
	var kustomization struct {
		Namespace string   `json:"namespace"`
		Resources []string `json:"resources"`
	}
	if err := yaml.UnmarshalStrict(body, &kustomization); err != nil {
		return nil, fmt.Errorf("%s/kustomization.yaml: %w", folder, err)
	}
	var objects []*unstructured.Unstructured
	for _, resource := range kustomization.Resources {
		name := path.Join(folder, resource)
		found, err := documents(files, name)
		if !strings.HasSuffix(name, ".yaml") {
			found, err = render(files, name)
		}
		if err != nil {
			return nil, err
		}
		objects = append(objects, found...)
	}
	if kustomization.Namespace != "" {
		for _, object := range objects {
			inNamespace(object, kustomization.Namespace)
		}
	}
	return objects, nil
}

func documents(files fs.FS, name string) ([]*unstructured.Unstructured, error) {
	if !strings.HasSuffix(name, ".yaml") {
		return nil, nil
	}
	body, err := fs.ReadFile(files, name)
	if err != nil {
		return nil, err
	}
	var objects []*unstructured.Unstructured
	for _, document := range strings.Split("\n"+string(body), "\n---\n") {
		object := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(document), &object.Object); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if len(object.Object) > 0 {
			objects = append(objects, object)
		}
	}
	return objects, nil
}

// inNamespace puts the object, and the accounts that it binds without a namespace, into the namespace.
func inNamespace(object *unstructured.Unstructured, namespace string) {
	if slices.Contains(clusterWide, object.GetKind()) {
		return
	}
	object.SetNamespace(namespace)
	subjects, _, _ := unstructured.NestedSlice(object.Object, "subjects")
	for _, subject := range subjects {
		if account, is := subject.(map[string]any); is && account["kind"] == "ServiceAccount" && account["namespace"] == nil {
			account["namespace"] = namespace
		}
	}
	if len(subjects) > 0 {
		_ = unstructured.SetNestedSlice(object.Object, subjects, "subjects")
	}
}

// renameIn gives the namespaces that the object has, is, binds or lets traffic to, the names that the site gives them.
func renameIn(content map[string]any, rename map[string]string) {
	if len(rename) == 0 {
		return
	}
	if content["kind"] == "Namespace" {
		metadata, _ := content["metadata"].(map[string]any)
		if other, named := rename[fmt.Sprint(metadata["name"])]; named {
			metadata["name"] = other
		}
	}
	var walk func(any)
	walk = func(value any) {
		switch value := value.(type) {
		case map[string]any:
			for key, inner := range value {
				if name, is := inner.(string); is && (key == "namespace" || key == "kubernetes.io/metadata.name") && rename[name] != "" {
					value[key] = rename[name]
				}
				walk(inner)
			}
		case []any:
			for _, inner := range value {
				walk(inner)
			}
		}
	}
	walk(content)
}

func replaceIn(content map[string]any, old, new string) {
	for key, value := range content {
		switch value := value.(type) {
		case string:
			content[key] = strings.ReplaceAll(value, old, new)
		case map[string]any:
			replaceIn(value, old, new)
		case []any:
			for _, inner := range value {
				if inner, is := inner.(map[string]any); is {
					replaceIn(inner, old, new)
				}
			}
		}
	}
}

// grant is one thing that an account must be allowed.
type grant struct{ account, namespace, verb, group, resource, subresource, name string }

func (g grant) String() string {
	text := g.resource
	if g.subresource != "" {
		text += "/" + g.subresource
	}
	if g.group != "" {
		text += "." + g.group
	}
	if g.name != "" {
		text += "/" + g.name
	}
	return g.verb + " " + text
}

// grants are what the RoleBindings of the manifests give, verb by verb.
func grants(objects []*unstructured.Unstructured) []grant {
	var given []grant
	for _, binding := range objects {
		if binding.GetKind() != "RoleBinding" {
			continue
		}
		var content struct {
			RoleRef  struct{ Name string }
			Subjects []struct{ Kind, Name, Namespace string }
		}
		decode(binding, &content)
		for _, role := range objects {
			if role.GetKind() != "Role" || role.GetName() != content.RoleRef.Name || role.GetNamespace() != binding.GetNamespace() {
				continue
			}
			for _, subject := range content.Subjects {
				account := "system:serviceaccount:" + subject.Namespace + ":" + subject.Name
				given = append(given, grantsOf(role, account)...)
			}
		}
	}
	return given
}

func grantsOf(role *unstructured.Unstructured, account string) (given []grant) {
	var content struct {
		Rules []struct{ APIGroups, Resources, ResourceNames, Verbs []string }
	}
	decode(role, &content)
	for _, rule := range content.Rules {
		names := rule.ResourceNames
		if len(names) == 0 {
			names = []string{""}
		}
		for _, group := range rule.APIGroups {
			for _, resource := range rule.Resources {
				for _, name := range names {
					for _, verb := range rule.Verbs {
						resource, sub, _ := strings.Cut(resource, "/")
						given = append(given, grant{account, role.GetNamespace(), verb, group, resource, sub, name})
					}
				}
			}
		}
	}
	return given
}
