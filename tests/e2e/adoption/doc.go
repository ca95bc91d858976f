// Package adoption takes the README at its word: its commands, in its order, on the lab.
package adoption
