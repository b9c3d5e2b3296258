package main

import (
	"context"
	"fmt"
	"time"

	"github.com/IBM/sarama"
)

// saramaClient is Sarama at its defaults, also in the protocol version that it speaks.
type saramaClient struct{ bootstrap string }

func (s saramaClient) config() *sarama.Config {
	config := sarama.NewConfig()
	config.Producer.Return.Successes = true // needed by the synchronous producer
	config.Producer.Partitioner = sarama.NewManualPartitioner
	return config
}

func saramaCodec(codec string) sarama.CompressionCodec {
	switch codec {
	case "gzip":
		return sarama.CompressionGZIP
	case "snappy":
		return sarama.CompressionSnappy
	case "lz4":
		return sarama.CompressionLZ4
	case "zstd":
		return sarama.CompressionZSTD
	}
	return sarama.CompressionNone
}

func saramaMessage(topic string, i int) *sarama.ProducerMessage {
	return &sarama.ProducerMessage{Topic: topic, Partition: 0,
		Key: sarama.StringEncoder(fmt.Sprintf("k%d", i)), Value: sarama.StringEncoder(fmt.Sprintf("v%d", i))}
}

func (s saramaClient) produce(topic, codec string, count int) error {
	config := s.config()
	config.Producer.Compression = saramaCodec(codec)
	producer, err := sarama.NewSyncProducer([]string{s.bootstrap}, config)
	if err != nil {
		return err
	}
	defer producer.Close()
	var messages []*sarama.ProducerMessage
	for i := range count {
		messages = append(messages, saramaMessage(topic, i))
	}
	return producer.SendMessages(messages)
}

func (s saramaClient) consume(topic string, count int) error {
	consumer, err := sarama.NewConsumer([]string{s.bootstrap}, s.config())
	if err != nil {
		return err
	}
	defer consumer.Close()
	partition, err := consumer.ConsumePartition(topic, 0, sarama.OffsetOldest)
	if err != nil {
		return err
	}
	defer partition.Close()
	for range count {
		select {
		case m := <-partition.Messages():
			fmt.Printf("%d\t%s\t%s\n", m.Offset, m.Key, m.Value)
		case <-time.After(20 * time.Second):
			return fmt.Errorf("no message within 20 s")
		}
	}
	return nil
}

func (s saramaClient) restart(topic string, count int, half func()) error {
	config := s.config()
	config.Producer.Idempotent = true
	config.Producer.RequiredAcks = sarama.WaitForAll // both are conditions that Sarama sets for Idempotent
	config.Net.MaxOpenRequests = 1
	config.Producer.Retry.Max = 100
	producer, err := sarama.NewSyncProducer([]string{s.bootstrap}, config)
	if err != nil {
		return err
	}
	defer producer.Close()
	for i := 0; i < count; i += 100 {
		var messages []*sarama.ProducerMessage
		for j := i; j < min(i+100, count); j++ {
			messages = append(messages, saramaMessage(topic, j))
		}
		if err := producer.SendMessages(messages); err != nil {
			return err
		}
		if i <= count/2 && count/2 < i+100 {
			half()
		}
	}
	fmt.Println("done")
	return nil
}

func (s saramaClient) topics(topic string) error {
	admin, err := sarama.NewClusterAdmin([]string{s.bootstrap}, s.config())
	if err != nil {
		return err
	}
	defer admin.Close()
	retention := "7200000"
	detail := &sarama.TopicDetail{NumPartitions: 2, ReplicationFactor: 1,
		ConfigEntries: map[string]*string{"retention.ms": &retention}}
	if err := admin.CreateTopic(topic, detail, false); err != nil {
		return fmt.Errorf("create: %w", err)
	}
	listed, err := admin.ListTopics()
	if err != nil || listed[topic].NumPartitions != 2 {
		return fmt.Errorf("list: %v %v", err, listed)
	}
	if err := admin.CreatePartitions(topic, 5, nil, false); err != nil {
		return fmt.Errorf("grow: %w", err)
	}
	described, err := admin.DescribeTopics([]string{topic})
	if err != nil || len(described[0].Partitions) != 5 {
		return fmt.Errorf("describe: %v %v", err, described)
	}
	configs, err := admin.DescribeConfig(sarama.ConfigResource{
		Type: sarama.TopicResource, Name: topic, ConfigNames: []string{"retention.ms"}})
	if err != nil || len(configs) != 1 || configs[0].Value != retention {
		return fmt.Errorf("configs: %v %v", err, configs)
	}
	if err := admin.DeleteTopic(topic); err != nil {
		return fmt.Errorf("delete: %w", err)
	}
	listed, err = admin.ListTopics()
	if _, found := listed[topic]; err != nil || found {
		return fmt.Errorf("still listed: %v", err)
	}
	return nil
}

func (s saramaClient) offsetAt(topic string, millis int64) (int64, error) {
	client, err := sarama.NewClient([]string{s.bootstrap}, s.config())
	if err != nil {
		return 0, err
	}
	defer client.Close()
	return client.GetOffset(topic, 0, millis)
}

// claims is what Sarama calls when the group has given this member partitions.
type claims struct{ topic string }

func (c claims) Setup(session sarama.ConsumerGroupSession) error {
	tellAssigned(session.Claims()[c.topic])
	return nil
}

func (c claims) Cleanup(sarama.ConsumerGroupSession) error {
	tellAssigned(nil)
	return nil
}

func (c claims) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for message := range claim.Messages() {
		tellRecord(message.Partition, message.Offset, message.Key, message.Value)
		session.MarkMessage(message, "")
	}
	return nil
}

func (s saramaClient) group(topic, group string, ended context.Context) error {
	config := s.config()
	config.Consumer.Offsets.Initial = sarama.OffsetOldest
	member, err := sarama.NewConsumerGroup([]string{s.bootstrap}, group, config)
	if err != nil {
		return err
	}
	for ended.Err() == nil {
		if err := member.Consume(ended, []string{topic}, claims{topic}); err != nil {
			return err
		}
	}
	return member.Close()
}
