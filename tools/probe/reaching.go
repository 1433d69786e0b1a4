package main

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	port = "8080"
	// Longer than any answer within a cluster takes; what is dropped silently costs this much.
	patience = 1200 * time.Millisecond
	// All nodes of a link (RFC 4291, section 2.7.1).
	everybody = "ff02::1"
)

type target struct{ protocol, address, word string }

// outcome is how a try ended: o reached, a reached but another answers or nobody, r refused, t no answer in time, u no way
// there, n no such name, e anything else.
type outcome struct {
	letter byte
	note   string
}

func parse(argument string) target {
	parts := strings.SplitN(argument, "=", 3)
	parts = append(parts, "", "")
	return target{protocol: parts[0], address: parts[1], word: parts[2]}
}

// try tries all targets at the same time.
func try(targets []target) []outcome {
	found := make([]outcome, len(targets))
	var all sync.WaitGroup
	for index, one := range targets {
		all.Add(1)
		go func() {
			defer all.Done()
			found[index] = one.reach()
		}()
	}
	all.Wait()
	return found
}

func (it target) reach() outcome {
	switch it.protocol {
	case "tcp":
		return it.connect()
	case "udp":
		return it.ask()
	case "name":
		return it.resolve()
	case "link":
		return askLink(it.word)
	}
	return outcome{letter: 'e', note: "no such protocol: " + it.protocol}
}

func (it target) connect() outcome {
	connection, err := net.DialTimeout("tcp", it.address, patience)
	if err != nil {
		return failure(err)
	}
	defer connection.Close()
	found := it.answered(connection)
	if found.letter != 'o' {
		found.letter = 'a' // it is connected all the same
	}
	return found
}

func (it target) ask() outcome {
	connection, err := net.DialTimeout("udp", it.address, patience)
	if err != nil {
		return failure(err)
	}
	defer connection.Close()
	if _, err := connection.Write([]byte("?")); err != nil {
		return failure(err)
	}
	return it.answered(connection)
}

// answered says whether the word comes; without one to wait for, being connected is enough.
func (it target) answered(connection net.Conn) outcome {
	if it.word == "" {
		return outcome{letter: 'o'}
	}
	_ = connection.SetReadDeadline(time.Now().Add(patience))
	buffer := make([]byte, 128)
	count, err := connection.Read(buffer)
	if err != nil {
		return failure(err)
	}
	if said := string(buffer[:count]); said != it.word {
		return outcome{letter: 'a', note: "another answers: " + said}
	}
	return outcome{letter: 'o'}
}

func (it target) resolve() outcome {
	ctx, stop := context.WithTimeout(context.Background(), patience)
	defer stop()
	if _, err := net.DefaultResolver.LookupHost(ctx, it.address); err != nil {
		return failure(err)
	}
	return outcome{letter: 'o'}
}

// askLink asks everybody on the pod's links over IPv6, which needs no router and which network policies may not see. Words
// that begin with own may come.
func askLink(own string) outcome {
	links, err := net.Interfaces()
	if err != nil {
		return failure(err)
	}
	asked := false
	for _, link := range links {
		if link.Flags&net.FlagLoopback == 0 && hasLinkLocal(link) {
			asked = true
			if said := stranger(link, own); said != "" {
				return outcome{letter: 'o', note: said}
			}
		}
	}
	if !asked {
		return outcome{letter: 'u', note: "the pod has no IPv6 address"}
	}
	return outcome{letter: 't'}
}

func hasLinkLocal(link net.Interface) bool {
	addresses, err := link.Addrs()
	if err != nil {
		return false
	}
	for _, address := range addresses {
		if found, ok := address.(*net.IPNet); ok && found.IP.To4() == nil && found.IP.IsLinkLocalUnicast() {
			return true
		}
	}
	return false
}

// stranger gives the first word from a link that does not begin with own; empty if none comes in time.
func stranger(link net.Interface, own string) string {
	listener, err := net.ListenPacket("udp6", "[::%"+link.Name+"]:0")
	if err != nil {
		return ""
	}
	defer listener.Close()
	number, _ := net.LookupPort("udp", port)
	everyone := &net.UDPAddr{IP: net.ParseIP(everybody), Port: number, Zone: link.Name}
	if _, err := listener.WriteTo([]byte("?"), everyone); err != nil {
		return ""
	}
	_ = listener.SetReadDeadline(time.Now().Add(patience))
	buffer := make([]byte, 128)
	for {
		count, _, err := listener.ReadFrom(buffer)
		if err != nil {
			return ""
		}
		if said := string(buffer[:count]); !strings.HasPrefix(said, own) {
			return said
		}
	}
}

func failure(err error) outcome {
	var missing *net.DNSError
	var waited net.Error
	switch {
	case errors.As(err, &missing):
		return outcome{letter: 'n', note: err.Error()}
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ECONNRESET):
		return outcome{letter: 'r', note: err.Error()}
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EPERM):
		return outcome{letter: 'u', note: err.Error()}
	case errors.As(err, &waited) && waited.Timeout():
		return outcome{letter: 't', note: err.Error()}
	}
	return outcome{letter: 'e', note: err.Error()}
}
