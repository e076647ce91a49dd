//go:build tools

// Package tools pins versitygw: scripts/install builds it from this module's go.sum.
package tools

import _ "github.com/versity/versitygw/cmd/versitygw"
