// Command argo says to how many pods Argo Rollouts' basic canary comes, by its own
// arithmetic: argo REPLICAS MAXSURGE WEIGHT prints stable's and the canary's.
package main

import (
	"fmt"
	"os"
	"strconv"

	"github.com/argoproj/argo-rollouts/pkg/apis/rollouts/v1alpha1"
	"github.com/argoproj/argo-rollouts/utils/replicaset"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// argo is where Argo Rollouts' basic canary comes to by its own arithmetic, asked
// again until it changes nothing more: its controller does the same, pods being ready.
func argo(replicas, weight int32, surge string) (stable, canary int32) {
	maxSurge := intstr.Parse(surge)
	maxUnavailable := intstr.FromInt32(0)
	if surge == "0" { // both cannot be 0
		maxUnavailable = intstr.FromInt32(1)
	}
	step := int32(0)
	rollout := &v1alpha1.Rollout{
		Spec: v1alpha1.RolloutSpec{Replicas: &replicas, Strategy: v1alpha1.RolloutStrategy{Canary: &v1alpha1.CanaryStrategy{
			MaxSurge: &maxSurge, MaxUnavailable: &maxUnavailable,
			Steps: []v1alpha1.CanaryStep{{SetWeight: &weight}, {Pause: &v1alpha1.RolloutPause{}}},
		}}},
		Status: v1alpha1.RolloutStatus{StableRS: "stable", CurrentPodHash: "canary", CurrentStepIndex: &step},
	}
	stable, canary = replicas, 0
	for range 100 {
		toCanary, toStable := replicaset.CalculateReplicaCountsForBasicCanary(rollout, replicaSet("canary", canary),
			replicaSet("stable", stable), nil)
		if toCanary == canary && toStable == stable {
			return stable, canary
		}
		stable, canary = toStable, toCanary
	}
	panic("the counts of Argo Rollouts do not come to rest")
}

func replicaSet(name string, replicas int32) *appsv1.ReplicaSet {
	labels := map[string]string{v1alpha1.DefaultRolloutUniqueLabelKey: name}
	return &appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}, Spec: appsv1.ReplicaSetSpec{Replicas: &replicas},
		Status: appsv1.ReplicaSetStatus{Replicas: replicas, AvailableReplicas: replicas, ReadyReplicas: replicas}}
}

func main() {
	numbers := make([]int32, 2)
	for i, argument := range []int{1, 3} {
		value, err := strconv.ParseInt(os.Args[argument], 10, 32)
		if err != nil {
			fmt.Fprintln(os.Stderr, "argo:", err)
			os.Exit(2)
		}
		numbers[i] = int32(value)
	}
	stable, canary := argo(numbers[0], numbers[1], os.Args[2])
	fmt.Println(stable, canary)
}
