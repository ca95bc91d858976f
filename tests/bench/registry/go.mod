module slipway.dev/slipway/tests/bench/registry

go 1.26.0

replace (
	slipway.dev/slipway/tests/lab => ../../lab
	slipway.dev/slipway/tests/registry => ../../registry
)

require (
	slipway.dev/slipway/tests/lab v0.0.0-00010101000000-000000000000
	slipway.dev/slipway/tests/registry v0.0.0-00010101000000-000000000000
)
