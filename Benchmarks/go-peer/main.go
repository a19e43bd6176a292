// SPDX-License-Identifier: Apache-2.0

// What Go's own profiles take: a pair of Add and Remove at depth 20, on one goroutine and on eight. Prints nanoseconds.
package main

import (
	"fmt"
	"runtime/pprof"
	"sync"
	"time"
)

var profile = pprof.NewProfile("bench")

const pairs = 200000

//go:noinline
func deep(depth int, keys []*byte) int {
	if depth > 0 {
		return deep(depth-1, keys) + 1
	}
	for i := 0; i < pairs; i++ {
		key := keys[i%len(keys)]
		profile.Add(key, 1)
		profile.Remove(key)
	}
	return 0
}

func run() {
	keys := make([]*byte, 64)
	for i := range keys {
		keys[i] = new(byte)
	}
	// With this, the goroutine's own function and the caller of Add there are 20 frames.
	deep(17, keys)
}

func main() {
	run()
	began := time.Now()
	run()
	fmt.Println(float64(time.Since(began).Nanoseconds()) / pairs)
	began = time.Now()
	var all sync.WaitGroup
	for i := 0; i < 8; i++ {
		all.Add(1)
		go func() { run(); all.Done() }()
	}
	all.Wait()
	fmt.Println(float64(time.Since(began).Nanoseconds()) / pairs / 8)
}
