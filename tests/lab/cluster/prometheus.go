package cluster

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
)

// Pods say by the usual annotations that they want to be scraped; their labels
// become labels of their series, as a site's own configuration does it.
const prometheusConfig = `global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s, scrape_native_histograms: true}
scrape_configs:
- job_name: pods
  kubernetes_sd_configs: [{role: pod, kubeconfig_file: %q}]
  relabel_configs:
  - {source_labels: [__meta_kubernetes_pod_annotation_prometheus_io_scrape], regex: "true", action: keep}
  - {source_labels: [__meta_kubernetes_pod_annotation_prometheus_io_port], target_label: __meta_kubernetes_pod_container_port_number, action: keepequal}
  - {source_labels: [__meta_kubernetes_pod_phase], regex: Running, action: keep}
  - {source_labels: [__meta_kubernetes_pod_ip, __meta_kubernetes_pod_annotation_prometheus_io_port], regex: "(.+);(.+)", replacement: "$1:$2", target_label: __address__}
  - {source_labels: [__meta_kubernetes_pod_annotation_prometheus_io_path], regex: "(.+)", target_label: __metrics_path__}
  - {source_labels: [__meta_kubernetes_namespace], target_label: namespace}
  - {source_labels: [__meta_kubernetes_pod_name], target_label: pod}
  - {source_labels: [__meta_kubernetes_pod_container_name], target_label: container}
  - {regex: __meta_kubernetes_pod_label_(app|track|version), action: labelmap}
`

func (c *Cluster) startPrometheus(ctx context.Context) error {
	config, err := c.write("prometheus.yaml", fmt.Sprintf(prometheusConfig, c.admin))
	if err != nil {
		return err
	}
	prometheus, err := c.start("prometheus", c.Programs["prometheus"], "--config.file="+config,
		"--storage.tsdb.path="+filepath.Join(c.Dir, "prometheus"), "--web.listen-address="+NodeAddress+":9090", "--web.enable-lifecycle")
	if err != nil {
		return err
	}
	c.setenv("PROMETHEUS_URL", "http://prometheus.lab:9090")
	return prometheus.until(ctx, answers("http://"+NodeAddress+":9090/-/ready", http.DefaultClient))
}
