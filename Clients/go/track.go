// SPDX-License-Identifier: Apache-2.0

// Package fdwatch keeps a profile of what a program has open, for fdwatch and for go tool pprof, and reports what was
// never closed.
//
// It mends what is easily got wrong with pprof.NewProfile: a file as the key of its own profile is kept from the
// collector, which turns a leak that the collector repairs into one that it does not; a descriptor's number as the key
// leaves ghosts, and panics when it is used again. Here the key is a token that belongs to nothing else.
package fdwatch

import (
	"fmt"
	"io"
	"net"
	"runtime"
	"runtime/pprof"
	"sync"
	"sync/atomic"
)

// Profile is the profile that Track fills: "file", served at /debug/pprof/file where net/http/pprof is imported.
func Profile() *pprof.Profile {
	once.Do(func() {
		if profile = pprof.Lookup("file"); profile == nil {
			profile = pprof.NewProfile("file")
		}
	})
	return profile
}

var (
	once    sync.Once
	profile *pprof.Profile
)

// Tracked is a value that has to be closed. It is in the profile until it is.
type Tracked[T io.Closer] struct {
	// Value is what is tracked. Who keeps it has to keep what tracks it, too, and to close that.
	Value T
	entry *entry
}

// An entry is the key in the profile, and all that is left when a value has gone. It must not lead to the value.
type entry struct {
	name   string
	closed atomic.Bool
	pcs    []uintptr
}

// Track puts what was opened into the profile, with the stack of who calls this, less skip frames.
func Track[T io.Closer](value T, skip int) *Tracked[T] {
	tracked := &Tracked[T]{Value: value, entry: &entry{name: nameOf(value)}}
	tracked.entry.pcs = make([]uintptr, 32)
	// Of the stack of runtime.Callers the first two are itself and this function.
	tracked.entry.pcs = tracked.entry.pcs[:runtime.Callers(skip+2, tracked.entry.pcs)]
	Profile().Add(tracked.entry, skip+2)
	whenCollected(tracked, tracked.entry)
	return tracked
}

// Close takes it out of the profile, and closes the value.
func (t *Tracked[T]) Close() error {
	if t.entry.closed.CompareAndSwap(false, true) {
		Profile().Remove(t.entry)
	}
	return t.Value.Close()
}

// lost is called when the collector has found the value to be unreachable.
func (e *entry) lost() {
	if !e.closed.CompareAndSwap(false, true) {
		return
	}
	Profile().Remove(e)
	report(Report{Message: e.name + ": missing close", Stack: e.stack(), Resource: "file"})
}

func (e *entry) stack() []string {
	var stack []string
	frames := runtime.CallersFrames(e.pcs)
	for {
		frame, more := frames.Next()
		if frame.Function != "" {
			stack = append(stack, fmt.Sprintf("%s %s:%d", frame.Function, frame.File, frame.Line))
		}
		if !more {
			return stack
		}
	}
}

// nameOf says what it is: its type, and its path or its peer.
func nameOf(value any) string {
	switch v := value.(type) {
	case interface{ Name() string }:
		return fmt.Sprintf("%T %s", value, v.Name())
	case net.Conn:
		if peer := v.RemoteAddr(); peer != nil {
			return fmt.Sprintf("%T %s", value, peer)
		}
	}
	return fmt.Sprintf("%T", value)
}
