// SPDX-License-Identifier: Apache-2.0

// goleak serves work under load and leaks from call sites of choice, and keeps a profile of its open files as Go
// programs do: pprof.NewProfile("file"), served by net/http/pprof.
//
//	goleak -listen 127.0.0.1:0 -leak a=2,b=1 -load 20
//
// It prints the address once it listens, a line when it begins to leak, and goes on until its standard input is closed.
package main

import (
	"encoding/pem"
	"flag"
	"fmt"
	"io"
	"math/rand"
	"net"
	"net/http"
	"net/http/httptest"
	_ "net/http/pprof"
	"os"
	"path/filepath"
	"runtime/pprof"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

var (
	files   = pprof.NewProfile("file")
	objects = pprof.NewProfile("goleak/objects") // which are no descriptors at all
	folder  string
	kept    = make(chan *os.File, 1<<20) // or the collector would close them
	leaked  atomic.Int64
)

// tracked is a file with its entry in the profile: its caller's stack, under a key of its own.
type tracked struct {
	*os.File
	key *byte
}

//go:noinline
func openTracked(name string) (*tracked, error) {
	file, err := os.OpenFile(filepath.Join(folder, name), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	t := &tracked{file, new(byte)}
	files.Add(t.key, 2)
	return t, nil
}

func (t *tracked) Close() error {
	files.Remove(t.key)
	return t.File.Close()
}

//go:noinline
func leakA(n int) (*tracked, error) { return openTracked("upload") }

//go:noinline
func leakB(n int) (*tracked, error) { return openTracked("upload") }

//go:noinline
func leakC(n int) (*tracked, error) { return openTracked(fmt.Sprintf("report-%d", n)) }

//go:noinline
func work(n int) (*tracked, error) { return openTracked("upload") }

// every calls body at a rate, jittered, until the process ends.
func every(perSecond float64, body func(int)) {
	if perSecond <= 0 {
		return
	}
	go func() {
		for n := 0; ; n++ {
			time.Sleep(time.Duration(rand.ExpFloat64() / perSecond * float64(time.Second)))
			body(n)
		}
	}()
}

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "TCP address, or the path of a Unix socket, or @NAME")
	certificate := flag.String("tls", "", "serve by HTTPS, and write the certificate to this file")
	leak := flag.String("leak", "", "leaks per second by call site: a=2,b=1,c=0.5")
	load := flag.Float64("load", 20, "files opened per second that are closed within two seconds")
	limit := flag.Uint64("limit", 0, "soft and hard limit of open files")
	delay := flag.Duration("delay", 0, "time until it begins to leak")
	most := flag.Int64("most", 1<<20, "files leaked before it stops leaking")
	flag.Parse()

	if *limit > 0 {
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: *limit, Max: *limit}); err != nil {
			panic(err)
		}
	}
	var err error
	if folder, err = os.MkdirTemp("", "goleak-"); err != nil {
		panic(err)
	}
	defer os.RemoveAll(folder)

	network := "tcp"
	if strings.HasPrefix(*listen, "/") || strings.HasPrefix(*listen, "@") {
		network = "unix"
	}
	listener, err := net.Listen(network, *listen)
	if err != nil {
		panic(err)
	}
	if *certificate != "" {
		// A certificate of httptest's own, for 127.0.0.1.
		server := httptest.NewUnstartedServer(nil)
		server.Listener.Close()
		server.Listener = listener
		server.StartTLS()
		block := pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}
		if err := os.WriteFile(*certificate, pem.EncodeToMemory(&block), 0o600); err != nil {
			panic(err)
		}
	} else {
		go http.Serve(listener, nil)
	}
	fmt.Println(listener.Addr())

	go func() {
		time.Sleep(*delay)
		fmt.Println("leaking")
		sites := map[string]func(int) (*tracked, error){"a": leakA, "b": leakB, "c": leakC}
		for _, site := range strings.Split(*leak, ",") {
			name, rate, found := strings.Cut(site, "=")
			if !found {
				continue
			}
			perSecond, err := strconv.ParseFloat(rate, 64)
			if err != nil {
				panic(err)
			}
			open := sites[name]
			every(perSecond, func(n int) {
				if leaked.Add(1) > *most {
					return
				}
				if t, err := open(n); err == nil {
					kept <- t.File
				}
				objects.Add(new(byte), 1)
				objects.Add(new(byte), 1)
			})
		}
	}()
	every(*load, func(n int) {
		t, err := work(n)
		if err != nil {
			return
		}
		time.AfterFunc(time.Duration(rand.Int63n(int64(2*time.Second))), func() { t.Close() })
	})
	io.Copy(io.Discard, os.Stdin)
}
