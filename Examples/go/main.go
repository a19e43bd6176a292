// SPDX-License-Identifier: Apache-2.0

// A server that tells the first line of the files that it is asked for, and forgets to close those that are empty.
// fdwatch finds its profile with --discover, or at the address that it prints first.
package main

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	_ "net/http/pprof"
	"os"

	"fdwatch"
)

// What is kept: in a server, the sessions that forgot their file.
var forgotten []*fdwatch.Tracked[*os.File]

//go:noinline
func firstLine(path string) (string, error) {
	opened, err := os.Open(path)
	if err != nil {
		return "", err
	}
	file := fdwatch.Track(opened, 0)
	lines := bufio.NewScanner(file.Value)
	if !lines.Scan() {
		forgotten = append(forgotten, file)
		return "", fmt.Errorf("%s is empty", path)
	}
	defer file.Close()
	return lines.Text(), nil
}

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	go http.Serve(listener, nil)
	fmt.Printf("http://%s/debug/pprof/file\n", listener.Addr())
	requests := bufio.NewScanner(os.Stdin)
	for requests.Scan() {
		line, err := firstLine(requests.Text())
		if err != nil {
			line = err.Error()
		}
		fmt.Println(line)
	}
}
