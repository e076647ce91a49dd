//go:build tools

// Package tools pins wskdeploy: scripts/install builds it from this module's go.sum.
package tools

import _ "github.com/apache/openwhisk-wskdeploy"
