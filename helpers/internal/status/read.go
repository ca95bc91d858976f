package status

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"slipway.dev/slipway/helpers/internal/approved"
	slipway "slipway.dev/slipway/helpers/internal/cli"
	"slipway.dev/slipway/helpers/internal/kube"
)

const most = 500 // objects of one request

// Read reads the namespace of the cluster, or with an empty one all of them; the site's waivers are in the namespaces of agents, or
// in any where those are nil. What is not allowed is noted as unread; without Deployments there is nothing to say.
func Read(ctx context.Context, cluster *kube.Cluster, agents []string) (Objects, error) {
	o := Objects{Autoscaled: map[Name]bool{}, Guards: map[string]string{}, Lists: map[string]map[string]string{}, Waivers: map[string]string{}}
	err := pages(func(options metav1.ListOptions) (string, error) {
		found, err := cluster.Apps().Deployments(cluster.Namespace).List(ctx, options)
		if err != nil {
			return "", err
		}
		o.Deployments = append(o.Deployments, found.Items...)
		return found.Continue, nil
	})
	if err != nil {
		return o, kube.Explain(err, "listing deployments")
	}
	for _, read := range []func() error{
		func() error { return o.guards(ctx, cluster) },
		func() error { return o.autoscalers(ctx, cluster) },
		func() error {
			return o.configMaps(ctx, cluster, cluster.Namespace, approved.Name, func(c corev1.ConfigMap) { o.Lists[c.Namespace] = c.Data })
		},
		func() error { return o.policies(ctx, cluster, agents) },
		func() error { return o.broken(ctx, cluster) },
	} {
		if err := read(); err != nil {
			return o, err
		}
	}
	return o, nil
}

// pages asks until the API server has no more.
func pages(list func(metav1.ListOptions) (next string, err error)) error {
	for options := (metav1.ListOptions{Limit: most}); ; {
		next, err := list(options)
		if err != nil || next == "" {
			return err
		}
		options.Continue = next
	}
}

// passed is nil where only this could not be read: it is noted.
func (o *Objects) passed(err error, what string) error {
	switch {
	case err == nil || apierrors.IsNotFound(err): // the cluster does not have this kind
		return nil
	case kube.IsDenied(err):
		o.Unread = append(o.Unread, fmt.Sprintf("%s: %s", what, kube.Explain(err, "listing them").Error()))
		return nil
	}
	return kube.Explain(err, "listing "+what)
}

// metadata lists a kind without its contents.
func metadata(ctx context.Context, cluster *kube.Cluster, kind schema.GroupVersionResource, use func(*metav1.PartialObjectMetadata)) error {
	return pages(func(options metav1.ListOptions) (string, error) {
		found, err := cluster.Metadata().Resource(kind).Namespace(cluster.Namespace).List(ctx, options)
		if err != nil {
			return "", err
		}
		for i := range found.Items {
			use(&found.Items[i])
		}
		return found.Continue, nil
	})
}

func (o *Objects) guards(ctx context.Context, cluster *kube.Cluster) error {
	spaces := cluster.Metadata().Resource(schema.GroupVersionResource{Version: "v1", Resource: "namespaces"})
	note := func(space *metav1.PartialObjectMetadata) {
		if mode := space.Labels[approved.Label]; mode == "enforce" || mode == "warn" {
			o.Guards[space.Name] = mode
		}
	}
	if cluster.Namespace != "" {
		space, err := spaces.Get(ctx, cluster.Namespace, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return slipway.Errorf(slipway.No, "there is no namespace %s", cluster.Namespace).Next("kubectl get namespaces")
		}
		if err == nil {
			note(space)
		}
		return o.passed(err, "namespaces")
	}
	return o.passed(pages(func(options metav1.ListOptions) (string, error) {
		found, err := spaces.List(ctx, options)
		if err != nil {
			return "", err
		}
		for i := range found.Items {
			note(&found.Items[i])
		}
		return found.Continue, nil
	}), "namespaces")
}

func (o *Objects) autoscalers(ctx context.Context, cluster *kube.Cluster) error {
	kind := schema.GroupVersionResource{Group: "autoscaling", Version: "v2", Resource: "horizontalpodautoscalers"}
	return o.passed(pages(func(options metav1.ListOptions) (string, error) {
		found, err := cluster.Dynamic().Resource(kind).Namespace(cluster.Namespace).List(ctx, options)
		if err != nil {
			return "", err
		}
		for i := range found.Items {
			spec, _ := found.Items[i].Object["spec"].(map[string]any)
			target, _ := spec["scaleTargetRef"].(map[string]any)
			if name, _ := target["name"].(string); target["kind"] == "Deployment" {
				o.Autoscaled[Name{found.Items[i].GetNamespace(), name}] = true
			}
		}
		return found.GetContinue(), nil
	}), kind.Resource)
}

// configMaps reads those of one name: RBAC allows a list of that name to who may read no other.
func (o *Objects) configMaps(ctx context.Context, cluster *kube.Cluster, namespace, name string, use func(corev1.ConfigMap)) error {
	found, err := cluster.Core().ConfigMaps(namespace).List(ctx, metav1.ListOptions{FieldSelector: "metadata.name=" + name})
	if err == nil {
		for _, each := range found.Items {
			use(each)
		}
	}
	return o.passed(err, "configmaps named "+name)
}

func (o *Objects) policies(ctx context.Context, cluster *kube.Cluster, agents []string) error {
	if agents == nil {
		agents = []string{""}
	}
	for _, namespace := range agents {
		err := o.configMaps(ctx, cluster, namespace, "slipway-policy", func(c corev1.ConfigMap) {
			if body := c.Data["waivers.yaml"]; body != "" {
				o.Waivers[c.Namespace] = body
			}
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// broken finds what went past the guard. What a controller made is its owner's.
func (o *Objects) broken(ctx context.Context, cluster *kube.Cluster) error {
	for _, d := range o.Deployments {
		o.glass(&d.ObjectMeta, "deployment")
	}
	for _, kind := range approved.Kinds() {
		if kind.GroupResource() == appsv1.Resource("deployments") {
			continue
		}
		err := metadata(ctx, cluster, kind, func(object *metav1.PartialObjectMetadata) { o.glass(&object.ObjectMeta, singular[kind.Resource]) })
		if err := o.passed(err, kind.Resource); err != nil {
			return err
		}
	}
	return nil
}

func (o *Objects) glass(object *metav1.ObjectMeta, kind string) {
	if reason, set := object.Annotations[approved.BreakGlass]; set && metav1.GetControllerOf(object) == nil {
		o.Broken = append(o.Broken, Broken{object.Namespace, kind + "/" + object.Name, reason})
	}
}

// singular are the kinds as kubectl names one of them; a list of metadata says the kind of the list alone.
var singular = map[string]string{
	"statefulsets": "statefulset", "daemonsets": "daemonset", "replicasets": "replicaset", "cronjobs": "cronjob", "jobs": "job",
	"replicationcontrollers": "replicationcontroller", "pods": "pod", "services": "service", "ingresses": "ingress",
	"httproutes": "httproute", "traefikservices": "traefikservice", "virtualservices": "virtualservice", "podtemplates": "podtemplate",
	"grpcroutes": "grpcroute", "ingressroutes": "ingressroute", "destinationrules": "destinationrule",
}
