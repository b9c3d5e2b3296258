// The probe runs one case of one Go client at its default settings:
//
//	probe CLIENT produce BOOTSTRAP TOPIC CODEC COUNT   keys k0.., values v0.., to partition 0
//	probe CLIENT consume BOOTSTRAP TOPIC COUNT         prints "offset<TAB>key<TAB>value"
//	probe CLIENT restart BOOTSTRAP TOPIC COUNT         idempotent; prints "half", goes on after a line of input
//	probe CLIENT topics BOOTSTRAP TOPIC                creates, lists, describes, grows, deletes
//	probe franz administer BOOTSTRAP TOPIC             alters settings, deletes before offset 40, asks for folders
//	probe CLIENT times BOOTSTRAP TOPIC MILLIS          prints the first offset at or after that time
//	probe CLIENT group BOOTSTRAP TOPIC GROUP           a member until the input ends, as member.py prints it
//
// CLIENT is franz or sarama.
package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

type client interface {
	produce(topic, codec string, count int) error
	consume(topic string, count int) error
	restart(topic string, count int, half func()) error
	topics(topic string) error
	offsetAt(topic string, millis int64) (int64, error)
	group(topic, group string, ended context.Context) error
}

func number(text string) int64 {
	value, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		panic(err)
	}
	return value
}

func waitForInput() {
	fmt.Println("half")
	_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
}

// soon is nil when the attempt succeeds within 5 s.
func soon(attempt func() error) error {
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if err := attempt(); err == nil || time.Now().After(end) {
			return err
		}
	}
}

// untilInputEnds is a context that ends with the input.
func untilInputEnds() context.Context {
	ended, cancel := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	return ended
}

// tellAssigned prints the partitions that a member has.
func tellAssigned(partitions []int32) {
	slices.Sort(partitions)
	var texts []string
	for _, partition := range partitions {
		texts = append(texts, strconv.Itoa(int(partition)))
	}
	fmt.Println("=", strings.Join(texts, ","))
}

func tellRecord(partition int32, offset int64, key, value []byte) {
	fmt.Printf("%d\t%d\t%s\t%s\n", partition, offset, key, value)
}

func run(args []string) error {
	var c client
	switch bootstrap := args[2]; args[0] {
	case "franz":
		c = franz{bootstrap}
	case "sarama":
		c = saramaClient{bootstrap}
	default:
		return fmt.Errorf("no client %s", args[0])
	}
	topic := args[3]
	switch args[1] {
	case "produce":
		return c.produce(topic, args[4], int(number(args[5])))
	case "consume":
		return c.consume(topic, int(number(args[4])))
	case "restart":
		return c.restart(topic, int(number(args[4])), waitForInput)
	case "topics":
		return c.topics(topic)
	case "administer":
		return franz{args[2]}.administer(topic)
	case "times":
		offset, err := c.offsetAt(topic, number(args[4]))
		fmt.Println(offset)
		return err
	case "group":
		return c.group(topic, args[4], untilInputEnds())
	}
	return fmt.Errorf("no case %s", args[1])
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "failed:", err)
		os.Exit(1)
	}
}
