// SPDX-License-Identifier: Apache-2.0

//go:build !go1.24

package fdwatch

import (
	"io"
	"runtime"
)

// A finalizer keeps the value for one more cycle of the collector, and its own finalizer waits for that.
func whenCollected[T io.Closer](tracked *Tracked[T], e *entry) {
	runtime.SetFinalizer(tracked, func(*Tracked[T]) { e.lost() })
}
