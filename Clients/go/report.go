// SPDX-License-Identifier: Apache-2.0

package fdwatch

import (
	"encoding/json"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Report says that something was dropped without being closed.
type Report struct {
	Message  string   `json:"message"`
	Stack    []string `json:"stack,omitempty"`
	Resource string   `json:"resource,omitempty"`
}

// Handler, if it is set before the first value is tracked, is called with each report, beside what fdwatch gets.
var Handler func(Report)

// Lost counts the reports that came faster than they could be sent.
var Lost atomic.Uint64

var (
	queue     = make(chan Report, 64)
	startOnce sync.Once
)

// report never blocks: it is called where the collector's cleanups run, which wait for each other.
func report(r Report) {
	startOnce.Do(func() { go send() })
	select {
	case queue <- r:
	default:
		Lost.Add(1)
	}
}

func send() {
	for r := range queue {
		if Handler != nil {
			Handler(r)
		}
		path := os.Getenv("FDWATCH_REPORT_SOCKET")
		if path == "" {
			path = "/run/fdwatch/report.sock"
		}
		text, err := json.Marshal(r)
		if err != nil {
			continue
		}
		// Where nobody listens nobody is told: that is no trouble of the program's.
		socket, err := net.Dial("unixgram", path)
		if err != nil {
			continue
		}
		socket.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
		socket.Write(text)
		socket.Close()
	}
}
