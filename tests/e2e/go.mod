module slipway.dev/slipway/tests/e2e

go 1.26.0
