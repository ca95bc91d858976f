package kube

import (
	"context"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/types"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
)

// client-go's own typed clients register every group that Kubernetes has, which is
// 15 MB of a program; these four are all that Slipway reads and writes by type.
var (
	known  = runtime.NewScheme()
	codecs = serializer.NewCodecFactory(known)
	// Parameters writes options, such as metav1.ListOptions, into a request's query.
	Parameters = runtime.NewParameterCodec(known)
)

func init() {
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, appsv1.AddToScheme, coordinationv1.AddToScheme,
		discoveryv1.AddToScheme} {
		utilruntime.Must(add(known))
	}
}

// group gives the REST client of an API group's version. It panics where the
// configuration cannot be used: New has already made an HTTP client of it.
func (c *Cluster) group(version schema.GroupVersion) rest.Interface {
	config := rest.CopyConfig(c.Config)
	config.GroupVersion = &version
	config.APIPath = "/apis"
	if version.Group == "" {
		config.APIPath = "/api"
	}
	config.NegotiatedSerializer = codecs.WithoutConversion()
	return must(rest.RESTClientForConfigAndClient(config, c.http))
}

// Objects are those of one kind, in one namespace or of the cluster. The methods are
// client-go's, with its options and errors.
type Objects[T, L runtime.Object] struct {
	client    rest.Interface
	namespace string
	resource  string
	one       func() T
	list      func() L
}

// Get reads an object.
func (o Objects[T, L]) Get(ctx context.Context, name string, options metav1.GetOptions) (T, error) {
	found := o.one()
	return found, o.request(o.client.Get()).Name(name).VersionedParams(&options, Parameters).Do(ctx).Into(found)
}

// List reads those that the options select.
func (o Objects[T, L]) List(ctx context.Context, options metav1.ListOptions) (L, error) {
	found := o.list()
	return found, o.request(o.client.Get()).VersionedParams(&options, Parameters).Timeout(timeoutOf(options)).Do(ctx).Into(found)
}

// Watch tells what becomes of those that the options select.
func (o Objects[T, L]) Watch(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
	options.Watch = true
	return o.request(o.client.Get()).VersionedParams(&options, Parameters).Timeout(timeoutOf(options)).Watch(ctx)
}

// Create makes an object.
func (o Objects[T, L]) Create(ctx context.Context, object T, options metav1.CreateOptions) (T, error) {
	made := o.one()
	return made, o.request(o.client.Post()).VersionedParams(&options, Parameters).Body(object).Do(ctx).Into(made)
}

// Update replaces an object, where its resourceVersion is still the one that it has.
func (o Objects[T, L]) Update(ctx context.Context, object T, options metav1.UpdateOptions) (T, error) {
	made := o.one()
	name := any(object).(metav1.Object).GetName()
	return made, o.request(o.client.Put()).Name(name).VersionedParams(&options, Parameters).Body(object).Do(ctx).Into(made)
}

// Patch changes an object, or one of its subresources.
func (o Objects[T, L]) Patch(
	ctx context.Context, name string, kind types.PatchType, body []byte, options metav1.PatchOptions, subresources ...string,
) (T, error) {
	made := o.one()
	request := o.request(o.client.Patch(kind)).Name(name).SubResource(subresources...)
	return made, request.VersionedParams(&options, Parameters).Body(body).Do(ctx).Into(made)
}

// Delete deletes an object.
func (o Objects[T, L]) Delete(ctx context.Context, name string, options metav1.DeleteOptions) error {
	return o.request(o.client.Delete()).Name(name).Body(&options).Do(ctx).Error()
}

func (o Objects[T, L]) request(request *rest.Request) *rest.Request {
	return request.NamespaceIfScoped(o.namespace, o.namespace != "").Resource(o.resource)
}

func timeoutOf(options metav1.ListOptions) time.Duration {
	if options.TimeoutSeconds == nil {
		return 0
	}
	return time.Duration(*options.TimeoutSeconds) * time.Second
}
