// Command probe is what the node's tests run in pods: it serves, connects, resolves and keeps files when it is told so
// over HTTP, and tries an address from its first moment on.
package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"
)

var opened, refused atomic.Int64 // attempts made since the start, see eager
var held atomic.Value            // how the long connection is, see hold

func main() {
	if len(os.Args) > 1 {
		fmt.Println("probe says", os.Args[1])
		return
	}
	held.Store("none")
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM) // the first process of a container has no default action for it
	go func() { <-stop; os.Exit(0) }()
	if address := os.Getenv("EAGER"); address != "" {
		go eager(address)
	}
	http.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hello from "+os.Getenv("NAME")) })
	http.HandleFunc("/connect", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, connect(r.FormValue("to"))) })
	http.HandleFunc("/fetch", fetch)
	http.HandleFunc("/resolve", resolve)
	http.HandleFunc("/addresses", func(w http.ResponseWriter, _ *http.Request) {
		addresses, _ := net.InterfaceAddrs()
		fmt.Fprint(w, addresses)
	})
	http.HandleFunc("/eager", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, opened.Load(), " ", refused.Load()) })
	http.HandleFunc("/hold", func(_ http.ResponseWriter, r *http.Request) { go hold(r.FormValue("to")) })
	http.HandleFunc("/held", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, held.Load()) })
	http.HandleFunc("/write", func(_ http.ResponseWriter, r *http.Request) {
		if err := os.WriteFile(r.FormValue("file"), []byte(r.FormValue("text")), 0o600); err != nil {
			panic(err)
		}
	})
	http.HandleFunc("/read", func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, r.FormValue("file")) })
	go echo(":9000")
	fmt.Println("probe serves as", os.Getenv("NAME"))
	panic(http.ListenAndServe(":8080", nil))
}

func connect(address string) string {
	connection, err := net.DialTimeout("tcp", address, 700*time.Millisecond)
	if err != nil {
		return err.Error()
	}
	connection.Close()
	return "open"
}

func fetch(w http.ResponseWriter, r *http.Request) {
	client := http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Get("http://" + r.FormValue("from"))
	if err != nil {
		fmt.Fprint(w, err)
		return
	}
	defer answer.Body.Close()
	line, _ := bufio.NewReader(answer.Body).ReadString('\n')
	fmt.Fprint(w, line)
}

func resolve(w http.ResponseWriter, r *http.Request) {
	ctx, stop := context.WithTimeout(r.Context(), 2*time.Second)
	defer stop()
	addresses, err := net.DefaultResolver.LookupHost(ctx, r.FormValue("name"))
	fmt.Fprint(w, addresses, err)
}

// eager counts how connections to address end, from the pod's first moment on.
func eager(address string) {
	for {
		if connect(address) == "open" {
			opened.Add(1)
		} else {
			refused.Add(1)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// hold keeps one connection busy until it breaks.
func hold(address string) {
	connection, err := net.Dial("tcp", address)
	if err != nil {
		held.Store(err.Error())
		return
	}
	defer connection.Close()
	held.Store("open")
	for buffer := make([]byte, 1); err == nil; time.Sleep(50 * time.Millisecond) {
		_ = connection.SetDeadline(time.Now().Add(time.Second))
		if _, err = connection.Write(buffer); err == nil {
			_, err = connection.Read(buffer)
		}
	}
	held.Store("broken")
}

func echo(address string) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		panic(err)
	}
	for {
		connection, err := listener.Accept()
		if err != nil {
			continue
		}
		go func() {
			defer connection.Close()
			for buffer := make([]byte, 64); ; {
				count, err := connection.Read(buffer)
				if err != nil {
					return
				}
				_, _ = connection.Write(buffer[:count])
			}
		}()
	}
}
