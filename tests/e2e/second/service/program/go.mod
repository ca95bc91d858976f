module slipway.dev/greeter

go 1.26
