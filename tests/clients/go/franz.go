package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// franz is franz-go, which produces idempotently and with snappy unless it is told otherwise.
type franz struct{ bootstrap string }

func (f franz) open(options ...kgo.Opt) (*kgo.Client, context.Context, func()) {
	client, err := kgo.NewClient(append(options, kgo.SeedBrokers(f.bootstrap))...)
	if err != nil {
		panic(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	return client, ctx, func() { cancel(); client.Close() }
}

func franzCodec(codec string) kgo.CompressionCodec {
	switch codec {
	case "gzip":
		return kgo.GzipCompression()
	case "snappy":
		return kgo.SnappyCompression()
	case "lz4":
		return kgo.Lz4Compression()
	case "zstd":
		return kgo.ZstdCompression()
	}
	return kgo.NoCompression()
}

func franzRecord(topic string, i int) *kgo.Record {
	return &kgo.Record{Topic: topic, Key: fmt.Appendf(nil, "k%d", i), Value: fmt.Appendf(nil, "v%d", i)}
}

func (f franz) produce(topic, codec string, count int) error {
	client, ctx, done := f.open(kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerBatchCompression(franzCodec(codec)))
	defer done()
	var records []*kgo.Record
	for i := range count {
		records = append(records, franzRecord(topic, i))
	}
	return client.ProduceSync(ctx, records...).FirstErr()
}

func (f franz) consume(topic string, count int) error {
	client, ctx, done := f.open(kgo.ConsumePartitions(
		map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().AtStart()}}))
	defer done()
	for seen := 0; seen < count; {
		fetches := client.PollFetches(ctx)
		if errs := fetches.Errors(); len(errs) > 0 {
			return errs[0].Err
		}
		fetches.EachRecord(func(r *kgo.Record) {
			fmt.Printf("%d\t%s\t%s\n", r.Offset, r.Key, r.Value)
			seen++
		})
	}
	return nil
}

func (f franz) restart(topic string, count int, half func()) error {
	client, ctx, done := f.open(kgo.RecordPartitioner(kgo.ManualPartitioner()))
	defer done()
	var failure atomic.Value
	for i := range count {
		client.Produce(ctx, franzRecord(topic, i), func(_ *kgo.Record, err error) {
			if err != nil {
				failure.Store(err)
			}
		})
		if i == count/2 {
			if err := client.Flush(ctx); err != nil {
				return err
			}
			half()
		}
	}
	if err := client.Flush(ctx); err != nil {
		return err
	}
	if err := failure.Load(); err != nil {
		return err.(error)
	}
	fmt.Println("done")
	return nil
}

func (f franz) topics(topic string) error {
	client, ctx, done := f.open()
	defer done()
	admin := kadm.NewClient(client)
	retention := "7200000"
	made, err := admin.CreateTopics(ctx, 2, 1, map[string]*string{"retention.ms": &retention}, topic)
	if err != nil || made[topic].Err != nil {
		return fmt.Errorf("create: %v %v", err, made[topic].Err)
	}
	if err := soon(func() error {
		listed, err := admin.ListTopics(ctx)
		if err != nil || !listed.Has(topic) || len(listed[topic].Partitions) != 2 {
			return fmt.Errorf("list: %v %v", err, listed)
		}
		return nil
	}); err != nil {
		return err
	}
	grown, err := admin.UpdatePartitions(ctx, 5, topic)
	if err != nil || grown[topic].Err != nil {
		return fmt.Errorf("grow: %v %v", err, grown[topic].Err)
	}
	if err := soon(func() error {
		listed, err := admin.ListTopics(ctx, topic)
		if err != nil || len(listed[topic].Partitions) != 5 {
			return fmt.Errorf("grown to %d: %v", len(listed[topic].Partitions), err)
		}
		return nil
	}); err != nil {
		return err
	}
	configs, err := admin.DescribeTopicConfigs(ctx, topic)
	if err != nil {
		return err
	}
	found := ""
	for _, config := range configs[0].Configs {
		if config.Key == "retention.ms" {
			found = config.MaybeValue()
		}
	}
	if found != retention {
		return fmt.Errorf("retention.ms is %q", found)
	}
	gone, err := admin.DeleteTopics(ctx, topic)
	if err != nil || gone[topic].Err != nil {
		return fmt.Errorf("delete: %v %v", err, gone[topic].Err)
	}
	return soon(func() error { // Kafka spreads changes of topics after it has answered
		listed, err := admin.ListTopics(ctx)
		if err != nil || listed.Has(topic) {
			return fmt.Errorf("still listed: %v", err)
		}
		return nil
	})
}

// alter sets a topic's setting, or takes it back when the value is nil, and sees what it is then.
func alter(ctx context.Context, admin *kadm.Client, topic, name string, value *string) error {
	op := kadm.SetConfig
	if value == nil {
		op = kadm.DeleteConfig
	}
	changes := []kadm.AlterConfig{{Op: op, Name: name, Value: value}}
	altered, err := admin.AlterTopicConfigs(ctx, changes, topic)
	if err != nil || altered[0].Err != nil {
		return fmt.Errorf("alter: %v %v", err, altered)
	}
	return soon(func() error {
		configs, err := admin.DescribeTopicConfigs(ctx, topic)
		if err != nil {
			return err
		}
		for _, config := range configs[0].Configs {
			if config.Key != name {
				continue
			}
			if isSet := config.Source == kmsg.ConfigSourceDynamicTopicConfig; isSet != (value != nil) {
				return fmt.Errorf("%s is %s from %v", name, config.MaybeValue(), config.Source)
			}
			return nil
		}
		return fmt.Errorf("no %s", name)
	})
}

func (f franz) administer(topic string) error {
	client, ctx, done := f.open()
	defer done()
	admin := kadm.NewClient(client)
	retention := "7200000"
	for _, value := range []*string{&retention, nil} {
		if err := alter(ctx, admin, topic, "retention.ms", value); err != nil {
			return err
		}
	}
	var before kadm.Offsets
	before.AddOffset(topic, 0, 40, -1)
	deleted, err := admin.DeleteRecords(ctx, before)
	if err != nil || deleted[topic][0].Err != nil || deleted[topic][0].LowWatermark != 40 {
		return fmt.Errorf("delete: %v %v", err, deleted)
	}
	var asked kadm.TopicsSet
	asked.Add(topic, 0)
	folders, err := admin.DescribeAllLogDirs(ctx, asked)
	if err != nil {
		return err
	}
	if folder, ok := folders[1].LookupPartition(topic, 0); !ok || folder.Size <= 0 {
		return fmt.Errorf("folders: %v", folders)
	}
	producers, err := admin.DescribeProducers(ctx, asked)
	if err == nil {
		err = producers[topic].Partitions[0].Err
	}
	return err
}

func (f franz) offsetAt(topic string, millis int64) (int64, error) {
	client, ctx, done := f.open()
	defer done()
	// kadm asks a second time for the end where no record is as young as that; ask the first time only.
	listed, err := kadm.NewClient(client).ListOffsetsAfterMilli(ctx, millis, topic)
	if err != nil {
		return 0, err
	}
	offset, _ := listed.Lookup(topic, 0)
	return offset.Offset, offset.Err
}

func (f franz) group(topic, group string, ended context.Context) error {
	var guard sync.Mutex
	owned := map[int32]bool{}
	change := func(has bool) func(context.Context, *kgo.Client, map[string][]int32) {
		return func(_ context.Context, _ *kgo.Client, changed map[string][]int32) {
			guard.Lock()
			defer guard.Unlock()
			for _, partition := range changed[topic] {
				if has {
					owned[partition] = true
				} else {
					delete(owned, partition)
				}
			}
			tellAssigned(slices.Collect(maps.Keys(owned)))
		}
	}
	client, _, done := f.open(kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.OnPartitionsAssigned(change(true)),
		kgo.OnPartitionsRevoked(func(ctx context.Context, c *kgo.Client, lost map[string][]int32) {
			// A callback of one's own takes the place of the commit before a rebalance.
			if err := c.CommitUncommittedOffsets(ctx); err != nil {
				fmt.Fprintln(os.Stderr, "commit:", err)
			}
			change(false)(ctx, c, lost)
		}), kgo.OnPartitionsLost(change(false)))
	defer done()
	for {
		fetches := client.PollFetches(ended)
		if ended.Err() != nil {
			return client.CommitUncommittedOffsets(context.Background())
		}
		for _, failed := range fetches.Errors() {
			fmt.Fprintln(os.Stderr, "fetch:", failed.Err)
		}
		fetches.EachRecord(func(r *kgo.Record) { tellRecord(r.Partition, r.Offset, r.Key, r.Value) })
	}
}
