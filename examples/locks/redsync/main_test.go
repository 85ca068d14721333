package main

import (
	"context"
	"slices"
	"testing"
	"time"
)

// BenchmarkPair acquires and releases the lock in this process, without the protocol. bench/own-lock.ts compares it with
// the same through the protocol.
func BenchmarkPair(b *testing.B) {
	start(message{Run: "bench", TTL: 10_000})
	var times []time.Duration
	for b.Loop() {
		began := time.Now()
		mutex := newMutex("row:1")
		if err := mutex.LockContext(context.Background()); err != nil {
			b.Fatal(err)
		}
		if _, err := mutex.Unlock(); err != nil {
			b.Fatal(err)
		}
		times = append(times, time.Since(began))
	}
	slices.Sort(times)
	b.ReportMetric(float64(times[len(times)/2].Nanoseconds())/1000, "median-µs")
}
