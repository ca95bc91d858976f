// Package faults holds what can stop a pipeline, as tests on the lab.
package faults
