// Package peers pins what nexus-latest-tag and nexus-push are measured beside.
package peers
