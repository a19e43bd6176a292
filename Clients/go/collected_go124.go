// SPDX-License-Identifier: Apache-2.0

//go:build go1.24

package fdwatch

import (
	"io"
	"runtime"
)

func whenCollected[T io.Closer](tracked *Tracked[T], e *entry) {
	runtime.AddCleanup(tracked, (*entry).lost, e)
}
