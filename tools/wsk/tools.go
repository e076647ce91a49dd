//go:build tools

// Package tools pins wsk: scripts/install builds it from this module's go.sum.
package tools

import _ "github.com/sciabarracom/openwhisk-cli"
