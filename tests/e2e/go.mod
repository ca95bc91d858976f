module slipway.dev/slipway/tests/e2e

go 1.26.0

require (
	github.com/santhosh-tekuri/jsonschema/v6 v6.0.2
	github.com/stretchr/testify v1.12.1
	slipway.dev/slipway/tests/pipelines v0.0.0
)

require (
	go.yaml.in/yaml/v3 v3.0.5 // indirect
	golang.org/x/text v0.14.0 // indirect
)

replace slipway.dev/slipway/tests/pipelines => ../pipelines
