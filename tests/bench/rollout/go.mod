module slipway.dev/slipway/tests/bench/rollout

go 1.26.0
