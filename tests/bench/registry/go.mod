module slipway.dev/slipway/tests/bench/registry

go 1.26.0
