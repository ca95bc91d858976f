// Package scenes are rollouts that a real cluster makes fail, each in its own way,
// and some that only look as if they failed.
package scenes

import (
	"fmt"
	"strings"
)

// Scene is one rollout, in a namespace of its own name.
type Scene struct {
	Name     string
	Workload string // KIND/NAME
	Manifest string // all that has to be applied in its namespace
	Code     string // what rollout-wait must say; empty where the rollout becomes good
	Says     string // a part of the cause that a person needs
	Log      string // the last line that its container has written, which has to be told
	Grace    string // the flag whose time it has to last for; empty where the verdict comes at once
	NeedsLab string // what the lab has to be started with
}

// Digest of nothing that was ever pushed.
const noDigest = "sha256:0000000000000000000000000000000000000000000000000000000000000000"

// container is the YAML of one container c, in flow style, with more fields.
func container(image, command, more string) string {
	text := fmt.Sprintf("{name: c, image: %q", image)
	if command != "" {
		text += ", command: " + command
	}
	if more != "" {
		text += ", " + more
	}
	return text + "}"
}

const (
	forever = `[sleep, "100000"]`
	tool    = "tool:1"
)

// deployment is one of the pods that pod describes, one YAML flow field a line.
func deployment(replicas int, pod ...string) string {
	return fmt.Sprintf(`apiVersion: apps/v1
kind: Deployment
metadata: {name: app}
spec:
  replicas: %d
  selector: {matchLabels: {app: app}}
  template:
    metadata: {labels: {app: app}}
    spec:
      terminationGracePeriodSeconds: 1
      %s
`, replicas, strings.Join(pod, "\n      "))
}

func containers(list ...string) string { return "containers: [" + strings.Join(list, ", ") + "]" }

func statefulSet(more string, pod ...string) string {
	return fmt.Sprintf(`apiVersion: apps/v1
kind: StatefulSet
metadata: {name: app}
spec:
  serviceName: app
  replicas: 2
  selector: {matchLabels: {app: app}}
  %s
  template:
    metadata: {labels: {app: app}}
    spec:
      terminationGracePeriodSeconds: 1
      %s
`, more, strings.Join(pod, "\n      "))
}

func daemonSet(more string, pod ...string) string {
	return fmt.Sprintf(`apiVersion: apps/v1
kind: DaemonSet
metadata: {name: app}
spec:
  selector: {matchLabels: {app: app}}
  %s
  template:
    metadata: {labels: {app: app}}
    spec:
      terminationGracePeriodSeconds: 1
      %s
`, more, strings.Join(pod, "\n      "))
}

// Nothing is ready before it says so, and these never do: without it a container
// that ends at once may be taken for one that runs, for as long as the node is slow to tell.
const notYet = "readinessProbe: {exec: {command: [test, -e, /tmp/ready]}, periodSeconds: 1, failureThreshold: 60}"

func idle(more string) string { return containers(container(tool, forever, more)) }

const (
	app  = "deployment/app"
	node = "node1" // the lab's only one
)

// Failing are the ways to fail, each as the cluster makes it by itself.
var Failing = []Scene{
	{Name: "invalid-image-name", Manifest: deployment(1, containers(container("Not A Name", forever, ""))), Code: "INVALID_IMAGE_NAME",
		Says: "Not A Name"},
	{Name: "image-never-pull", Manifest: deployment(1, containers(container("tool:none", forever, "imagePullPolicy: Never"))),
		Code: "IMAGE_NEVER_PULL"},
	{Name: "image-not-found", Manifest: deployment(2, containers(container("tool@"+noDigest, forever, ""))), Code: "IMAGE_NOT_FOUND",
		Says: noDigest},
	{Name: "image-pull-denied", Manifest: deployment(1, containers(container("10.10.70.84:30051/tool:1", forever, ""))),
		Code: "IMAGE_PULL_DENIED", NeedsLab: "registry"},
	{Name: "image-pull-failed", Manifest: deployment(1, containers(container(Away+"/tool:1", forever, ""))), Code: "IMAGE_PULL_FAILED",
		Says: "connection refused", Grace: "pull"},
	{Name: "pull-secret-missing", Manifest: deployment(1, "imagePullSecrets: [{name: nobody}]",
		containers(container("10.10.70.84:30051/tool:1", forever,
			""))), Code: "IMAGE_PULL_DENIED", Says: "the Secret nobody", NeedsLab: "registry"},
	{Name: "crash-loop", Manifest: deployment(2, containers(container(tool, `[sh, -c, "echo no config; exit 3"]`, notYet))),
		Code: "CRASH_LOOP", Says: "exit code 3", Log: "no config"},
	{Name: "crash-loop-unprobed", Manifest: deployment(1, containers(container(tool, `[sh, -c, "echo up; sleep 2; echo down; exit 3"]`,
		""))), Code: "CRASH_LOOP", Says: "exit code 3", Log: "down"},
	{Name: "liveness", Manifest: deployment(1, containers(container(tool, `[sh, -c, "echo up; exec sleep 100000"]`,
		"livenessProbe: {exec: {command: ['false']}, periodSeconds: 1, failureThreshold: 1}"))), Code: "CRASH_LOOP",
		Says: "its liveness probe fails", Log: "up"},
	{Name: "post-start", Manifest: deployment(1, idle("lifecycle: {postStart: {exec: {command: ['false']}}}")), Code: "CRASH_LOOP",
		Says: "its postStart hook fails"},
	{Name: "sidecar-startup", Manifest: deployment(1,
		`initContainers: [{name: proxy, image: "tool:1", restartPolicy: Always, command: [sh, -c, "echo no upstream; exec sleep 100000"], startupProbe: {exec: {command: ['false']}, periodSeconds: 1, failureThreshold: 2}}]`, idle("")), Code: "CRASH_LOOP", Says: "proxy again and again: its startup probe fails", Log: "no upstream"},
	{Name: "crash-loop-zero", Manifest: deployment(1, containers(container(tool, `["true"]`, notYet))), Code: "CRASH_LOOP",
		Says: "exit code 0"},
	{Name: "crash-loop-init", Manifest: deployment(1,
		`initContainers: [{name: prepare, image: "tool:1", command: [sh, -c, "echo no database; exit 4"]}]`, idle("")), Code: "CRASH_LOOP",
		Says: "prepare ends with exit code 4", Log: "no database"},
	{Name: "crash-loop-sidecar",
		Manifest: deployment(1,
			`initContainers: [{name: proxy, image: "tool:1", restartPolicy: Always, command: ["false"], startupProbe: {exec: {command: ["true"]}, initialDelaySeconds: 3}}]`, idle("")), Code: "CRASH_LOOP", Says: "proxy ends"},
	{Name: "oom-killed",
		Manifest: deployment(1, containers(container(tool, `[tail, /dev/zero]`, "resources: {limits: {memory: 24Mi}}, "+notYet))),
		Code:     "OOM_KILLED", Says: "24Mi"},
	{Name: "secret-missing", Manifest: deployment(1, idle("envFrom: [{secretRef: {name: credentials}}]")), Code: "CONFIG_MISSING",
		Says: "credentials", Grace: "config"},
	{Name: "config-key-missing", Manifest: "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\n---\n" +
		deployment(1, idle("env: [{name: A, valueFrom: {configMapKeyRef: {name: settings, key: a}}}]")), Code: "CONFIG_MISSING",
		Says: "settings", Grace: "config"},
	{Name: "container-config", Manifest: deployment(1, idle("securityContext: {runAsNonRoot: true}")), Code: "CONTAINER_CONFIG",
		Says: "runAsNonRoot", Grace: "config"},
	{Name: "container-create",
		Manifest: deployment(1, idle("securityContext: {seccompProfile: {type: Localhost, localhostProfile: none.json}}")),
		Code:     "CONTAINER_ERROR", Says: "none.json", Grace: "create"},
	{Name: "container-run", Manifest: deployment(1, containers(container(tool, "[/nowhere]", ""))), Code: "CONTAINER_ERROR", Says: "/nowhere"},
	{Name: "sandbox", Manifest: "apiVersion: node.k8s.io/v1\nkind: RuntimeClass\nmetadata: {name: nowhere}\nhandler: nowhere\n---\n" +
		deployment(1, "runtimeClassName: nowhere", idle("")), Code: "SANDBOX_FAILED", Says: "nowhere", Grace: "create"},
	{Name: "never-ready",
		Manifest: deployment(2, idle("readinessProbe: {exec: {command: ['false']}, periodSeconds: 1, failureThreshold: 3}")), Code: "NOT_READY"},
	{Name: "unschedulable", Manifest: deployment(1, idle(`resources: {requests: {cpu: "1000"}}`)), Code: "UNSCHEDULABLE",
		Says: "Insufficient cpu", Grace: "unschedulable"},
	{Name: "no-node-matches", Manifest: deployment(1, "nodeSelector: {disk: none}", idle("")), Code: "UNSCHEDULABLE",
		Says: "it asks for nodeSelector disk=none"},
	{Name: "no-node-of-affinity",
		Manifest: deployment(1,
			"affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchExpressions: [{key: zone, operator: In, values: [a, b]}]}]}}}", idle("")), Code: "UNSCHEDULABLE", Says: "nodeAffinity zone In (a, b)"},
	{Name: "rejected-os", Manifest: deployment(2, "os: {name: windows}", idle("")), Code: "POD_REJECTED", Says: "PodOSNotSupported"},
	{Name: "rejected-cpu", Manifest: deployment(1, "nodeName: "+node, idle(`resources: {requests: {cpu: "1000"}}`)), Code: "POD_REJECTED",
		Says: "OutOfcpu"},
	{Name: "rejected-groups", Manifest: deployment(1, "securityContext: {supplementalGroupsPolicy: Strict}", idle("")),
		Code: "POD_REJECTED", Says: "SupplementalGroupsPolicyNotSupported"},
	{Name: "resource-claim", Manifest: deployment(1, "resourceClaims: [{name: device, resourceClaimTemplateName: nobody}]",
		idle("resources: {claims: [{name: device}]}")), Code: "STUCK", Says: "FailedResourceClaimCreation", Grace: "stuck"},
	{Name: "quota", Manifest: "apiVersion: v1\nkind: ResourceQuota\nmetadata: {name: few}\nspec: {hard: {pods: \"1\"}}\n---\n" +
		deployment(2, idle("")), Code: "QUOTA_EXCEEDED", Says: "few", Grace: "quota"},
	{Name: "limit-range",
		Manifest: "apiVersion: v1\nkind: LimitRange\nmetadata: {name: small}\nspec: {limits: [{type: Container, max: {memory: 16Mi}}]}\n---\n" +
			deployment(1, idle("resources: {limits: {memory: 64Mi}}")), Code: "LIMIT_RANGE", Says: "maximum memory", Grace: "quota"},
	{Name: "pod-security", Manifest: deployment(1, idle("securityContext: {privileged: true}")), Code: "POD_SECURITY", Says: "privileged",
		Grace: "quota"},
	{Name: "webhook", Manifest: webhook + deployment(1, idle("")), Code: "WEBHOOK", Says: "failed calling webhook", Grace: "webhook"},
	{Name: "admission-policy", Manifest: Policy + deployment(1, idle("")), Code: "ADMISSION_POLICY", Says: "no pods today", Grace: "webhook"},
	{Name: "claim-pending", Manifest: claim("class-of-nobody") +
		deployment(1, "volumes: [{name: data, persistentVolumeClaim: {claimName: data}}]", idle("")), Code: "PVC_PENDING",
		Says: "class-of-nobody", Grace: "claim"},
	{Name: "claim-of-first-consumer", Manifest: slowClass + claim("slow") +
		deployment(1, "volumes: [{name: data, persistentVolumeClaim: {claimName: data}}]", idle("")), Code: "PVC_PENDING", Says: "data",
		Grace: "claim"},
	{Name: "claim-missing", Manifest: deployment(1, "volumes: [{name: data, persistentVolumeClaim: {claimName: data}}]", idle("")),
		Code: "PVC_PENDING", Says: "data", Grace: "claim"},
	{Name: "mount", Manifest: deployment(1, "volumes: [{name: settings, configMap: {name: settings}}]",
		containers(container(tool, forever, "volumeMounts: [{name: settings, mountPath: /settings}]"))), Code: "STUCK",
		Says: `"settings" not found`, Grace: "stuck"},
	{Name: "account", Manifest: deployment(1, "serviceAccountName: nobody", idle("")), Code: "STUCK", Says: "serviceaccount", Grace: "stuck"},
	{Name: "priority-class", Manifest: deployment(1, "priorityClassName: nobody", idle("")), Code: "STUCK", Says: "no PriorityClass",
		Grace: "stuck"},
	{Name: "readiness-gate", Manifest: deployment(1, "readinessGates: [{conditionType: example.com/balancer}]", idle("")), Code: "STUCK",
		Says: "example.com/balancer", Grace: "stuck"},
	{Name: "scheduling-gate", Manifest: deployment(1, "schedulingGates: [{name: example.com/approval}]", idle("")), Code: "STUCK",
		Says: "example.com/approval", Grace: "stuck"},
	{Name: "no-scheduler", Manifest: deployment(1, "schedulerName: nobody", idle("")), Code: "STUCK", Says: "nobody", Grace: "stuck"},
	{Name: "paused", Manifest: strings.Replace(deployment(1, idle("")), "  replicas:", "  paused: true\n  replicas:", 1), Code: "PAUSED"},

	{Name: "stateful-crash", Workload: "statefulset/app", Manifest: statefulSet("", containers(container(tool, `["false"]`, notYet))),
		Code: "CRASH_LOOP"},
	{Name: "stateful-rejected", Workload: "statefulset/app", Manifest: statefulSet("", "os: {name: windows}", idle("")),
		Code: "POD_REJECTED", Says: "PodOSNotSupported"},
	{Name: "stateful-sidecar", Workload: "statefulset/app", Manifest: statefulSet("",
		`initContainers: [{name: proxy, image: "tool:1", restartPolicy: Always, command: [sh, -c, "echo no upstream; exit 6"]}]`, idle("")),
		Code: "CRASH_LOOP", Says: "proxy ends with exit code 6", Log: "no upstream"},
	{Name: "stateful-quota", Workload: "statefulset/app",
		Manifest: "apiVersion: v1\nkind: ResourceQuota\nmetadata: {name: few}\nspec: {hard: {pods: \"1\"}}\n---\n" +
			statefulSet("podManagementPolicy: Parallel", idle("")), Code: "QUOTA_EXCEEDED", Says: "few", Grace: "quota"},
	{Name: "stateful-on-delete", Workload: "statefulset/app", Manifest: statefulSet("updateStrategy: {type: OnDelete}", idle("")),
		Code: "ON_DELETE"},
	{Name: "daemon-crash", Workload: "daemonset/app", Manifest: daemonSet("", containers(container(tool, `["false"]`, notYet))),
		Code: "CRASH_LOOP"},
	{Name: "daemon-rejected", Workload: "daemonset/app", Manifest: daemonSet("", "os: {name: windows}", idle("")), Code: "POD_REJECTED",
		Says: "PodOSNotSupported"},
	{Name: "daemon-post-start", Workload: "daemonset/app", Manifest: daemonSet("",
		idle("lifecycle: {postStart: {exec: {command: ['false']}}}")), Code: "CRASH_LOOP", Says: "its postStart hook fails"},
	{Name: "daemon-quota", Workload: "daemonset/app",
		Manifest: "apiVersion: v1\nkind: ResourceQuota\nmetadata: {name: none}\nspec: {hard: {pods: \"0\"}}\n---\n" + daemonSet("", idle("")),
		Code:     "QUOTA_EXCEEDED", Says: "exceeded quota", Grace: "quota"},
	{Name: "daemon-on-delete", Workload: "daemonset/app", Manifest: daemonSet("updateStrategy: {type: OnDelete}", idle("")),
		Code: "ON_DELETE"},
}

// Fine are rollouts that become good, though something is amiss on the way.
var Fine = []Scene{
	{Name: "good", Manifest: deployment(2, idle(""))},
	{Name: "one-crash", Manifest: deployment(1, "volumes: [{name: data, emptyDir: {}}]",
		containers(container(tool, `[sh, -c, "test -e /data/a && exec sleep 100000; touch /data/a; exit 1"]`,
			"volumeMounts: [{name: data, mountPath: /data}]")))},
	{Name: "late-ready",
		Manifest: deployment(1,
			containers(container(tool, `[sh, -c, "sleep 25; touch /tmp/ready; exec sleep 100000"]`,
				"readinessProbe: {exec: {command: [test, -e, /tmp/ready]}, periodSeconds: 1, timeoutSeconds: 5, failureThreshold: 4}")))},
	{Name: "slow-init", Manifest: deployment(1, `initContainers: [{name: prepare, image: "tool:1", command: [sleep, "15"]}]`, idle(""))},
	{Name: "slow-start",
		Manifest: deployment(1,
			containers(container(tool, `[sh, -c, "sleep 12; touch /tmp/up; exec sleep 100000"]`,
				"startupProbe: {exec: {command: [test, -e, /tmp/up]}, periodSeconds: 1, failureThreshold: 60}, readinessProbe: {exec: {command: [test, -e, /tmp/up]}, periodSeconds: 1, failureThreshold: 1}")))},
	{Name: "stateful-min-ready", Workload: "statefulset/app", Manifest: statefulSet("minReadySeconds: 5", idle(""))},
	{Name: "none", Manifest: deployment(0, idle(""))},
	{Name: "daemon-good", Workload: "daemonset/app", Manifest: daemonSet("", idle(""))},
}

// Away is the name of a registry where nobody answers.
const Away = "away.lab:5999"

const webhook = `apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: away}
webhooks:
  - name: away.example.com
    clientConfig: {url: "https://127.0.0.1:5998/"}
    failurePolicy: Fail
    sideEffects: None
    timeoutSeconds: 2
    admissionReviewVersions: [v1]
    namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: webhook}}
    rules: [{apiGroups: [""], apiVersions: [v1], resources: [pods], operations: [CREATE]}]
---
`

// Policy refuses every pod of one namespace.
const Policy = `apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: closed}
spec:
  failurePolicy: Fail
  matchConstraints: {resourceRules: [{apiGroups: [""], apiVersions: [v1], resources: [pods], operations: [CREATE]}]}
  validations: [{expression: "false", message: no pods today}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: closed}
spec:
  policyName: closed
  validationActions: [Deny]
  matchResources: {namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: admission-policy}}}
---
`

const slowClass = `apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: slow}
provisioner: example.com/slow
volumeBindingMode: WaitForFirstConsumer
---
`

func claim(class string) string {
	return "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: data}\nspec: {storageClassName: " + class +
		", accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}\n---\n"
}

func init() {
	for _, list := range [][]Scene{Failing, Fine} {
		for i := range list {
			if list[i].Workload == "" {
				list[i].Workload = app
			}
		}
	}
}
