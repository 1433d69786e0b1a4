package main

import (
	"fmt"
	"net"
	"os"
)

func answerConnections(word string) {
	listener, err := net.Listen("tcp", ":"+port)
	if err != nil {
		fail(err.Error())
	}
	for {
		connection, err := listener.Accept()
		if err != nil {
			continue
		}
		go func() {
			defer connection.Close()
			_, _ = connection.Write([]byte(word))
		}()
	}
}

func answerDatagrams(word string) {
	listener, err := net.ListenPacket("udp", ":"+port)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return
	}
	buffer := make([]byte, 128)
	for {
		_, from, err := listener.ReadFrom(buffer)
		if err == nil {
			_, _ = listener.WriteTo([]byte(word), from)
		}
	}
}
