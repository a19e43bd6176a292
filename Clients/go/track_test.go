// SPDX-License-Identifier: Apache-2.0

package fdwatch

import (
	"bytes"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

//go:noinline
func openedHere(t *testing.T, path string) *Tracked[*os.File] {
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return Track(file, 0)
}

func path(t *testing.T) string {
	path := filepath.Join(t.TempDir(), "x")
	if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestTrackedIsInTheProfileUntilItIsClosed(t *testing.T) {
	before := Profile().Count()
	file := openedHere(t, path(t))
	if got := Profile().Count(); got != before+1 {
		t.Fatalf("%d in the profile", got)
	}
	var text bytes.Buffer
	Profile().WriteTo(&text, 1)
	leaf := text.String()[strings.Index(text.String(), "#\t"):]
	if !strings.Contains(strings.SplitN(leaf, "\n", 2)[0], "openedHere") {
		t.Fatalf("the stack does not begin with who called Track:\n%s", text.String())
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err == nil {
		t.Fatal("the second close succeeds")
	}
	if got := Profile().Count(); got != before {
		t.Fatalf("%d in the profile after close", got)
	}
}

func TestWhatIsCollectedIsReportedAndLeavesTheProfile(t *testing.T) {
	address := filepath.Join(t.TempDir(), "report.sock")
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: address, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	t.Setenv("FDWATCH_REPORT_SOCKET", address)
	before := Profile().Count()
	name := path(t)
	openedHere(t, name)
	came := make(chan []byte)
	go func() {
		datagram := make([]byte, 65536)
		n, _ := socket.Read(datagram)
		came <- datagram[:n]
	}()
	// The collector finds it, now or in the next round.
	var text []byte
	for deadline := time.Now().Add(30 * time.Second); text == nil && time.Now().Before(deadline); {
		runtime.GC()
		select {
		case text = <-came:
		case <-time.After(10 * time.Millisecond):
		}
	}
	var said Report
	if err := json.Unmarshal(text, &said); err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	if said.Message != "*os.File "+name+": missing close" || !strings.Contains(said.Stack[0], "openedHere") {
		t.Fatalf("%+v", said)
	}
	if got := Profile().Count(); got != before {
		t.Fatalf("%d in the profile after it was collected", got)
	}
}

func TestNumbersThatAreUsedAgainAreNoTrouble(t *testing.T) {
	name := path(t)
	for i := 0; i < 1000; i++ {
		openedHere(t, name).Close()
		file := openedHere(t, name)
		// As somebody does who knows nothing of this.
		file.Value.Close()
	}
}
