module slipway.dev/slipway/tests/bench/canary

go 1.26.0

require (
	slipway.dev/slipway/tests/canary v0.0.0-00010101000000-000000000000
	slipway.dev/slipway/tests/rollout v0.0.0-00010101000000-000000000000
)

require (
	go.yaml.in/yaml/v2 v2.4.4 // indirect
	sigs.k8s.io/yaml v1.6.0 // indirect
)

replace (
	slipway.dev/slipway/tests/canary => ../../canary
	slipway.dev/slipway/tests/rollout => ../../rollout
)
