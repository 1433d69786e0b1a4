// Command probe is what a proof runs in pods: it answers, or it tries to reach what it is told to and tells how that went.
//
//	probe serve WORD            answer every connection and datagram on port 8080 with WORD, until told to stop
//	probe try SECONDS C... -- A...  try the controls C until all work, at most so long, and the attacks A
//
// A target is PROTOCOL=ADDRESS or PROTOCOL=ADDRESS=WORD, where WORD is what must answer. Attacks are tried twice: from
// the pod's first moment on, and when the controls work. What came of it is written as JSON for the kubelet.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"
)

// Where the kubelet reads a container's last words (core/v1, Container.terminationMessagePath).
const lastWords = "/dev/termination-log"

// report has one letter for each target in the order of the arguments; see outcome.
type report struct {
	Early    string            `json:"early"`
	Controls string            `json:"controls"`
	Attacks  string            `json:"attacks"`
	Notes    map[string]string `json:"notes,omitempty"`
}

func main() {
	if len(os.Args) < 3 {
		fail("usage: probe serve WORD | probe try SECONDS CONTROL... -- ATTACK...")
	}
	switch os.Args[1] {
	case "serve":
		serve(os.Args[2])
	case "try":
		seconds, err := strconv.Atoi(os.Args[2])
		if err != nil {
			fail(err.Error())
		}
		tell(attempts(os.Args[3:], time.Duration(seconds)*time.Second))
	default:
		fail("no such mode: " + os.Args[1])
	}
}

func serve(word string) {
	// The first process of a container has no default action for it.
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	go answerConnections(word)
	go answerDatagrams(word)
	<-stop
}

func attempts(arguments []string, atMost time.Duration) report {
	controls, attacks := split(arguments)
	// A new pod may be shut off until its policies are in force, or open until then: both are seen.
	early := make(chan []outcome, 1)
	go func() { early <- try(attacks) }()
	worked := untilAllWork(controls, atMost)
	first, last := <-early, try(attacks)
	return report{
		Early:    letters(first),
		Controls: letters(worked),
		Attacks:  letters(last),
		Notes:    notes(worked, last, len(controls)),
	}
}

func split(arguments []string) (controls, attacks []target) {
	found := &controls
	for _, argument := range arguments {
		if argument == "--" {
			found = &attacks
			continue
		}
		*found = append(*found, parse(argument))
	}
	return controls, attacks
}

func untilAllWork(controls []target, atMost time.Duration) []outcome {
	for end := time.Now().Add(atMost); ; time.Sleep(100 * time.Millisecond) {
		found := try(controls)
		if allOpen(found) || time.Now().After(end) {
			return found
		}
	}
}

func allOpen(found []outcome) bool {
	for _, one := range found {
		if one.letter != 'o' {
			return false
		}
	}
	return true
}

func letters(found []outcome) string {
	text := make([]byte, 0, len(found))
	for _, one := range found {
		text = append(text, one.letter)
	}
	return string(text)
}

// notes gives what else was seen, by the target's number; a kubelet keeps 4096 bytes, so it is little.
func notes(controls, attacks []outcome, before int) map[string]string {
	found := map[string]string{}
	for index, one := range controls {
		if one.letter != 'o' && one.note != "" {
			found[strconv.Itoa(index)] = short(one.note)
		}
	}
	for index, one := range attacks {
		if one.note != "" && (one.letter == 'o' || one.letter == 'a' || one.letter == 'e') {
			found[strconv.Itoa(before+index)] = short(one.note)
		}
	}
	return found
}

func short(note string) string {
	if len(note) > 120 {
		return note[:120]
	}
	return note
}

func tell(found report) {
	text, err := json.Marshal(found)
	if err != nil {
		fail(err.Error())
	}
	fmt.Println(string(text))
	if err := os.WriteFile(lastWords, text, 0o600); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
}

func fail(text string) {
	fmt.Fprintln(os.Stderr, text)
	os.Exit(2)
}
