// A lock by redsync on the server of HOLDFAST_LOCK_REDIS_URL: a lease of ttl_ms. Speaks holdfast-lock/1.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"

	"github.com/go-redsync/redsync/v4"
	"github.com/go-redsync/redsync/v4/redis/redigo"
	"github.com/gomodule/redigo/redis"
)

const prefix = "holdfast:guest:" // the keys that the Redis user `guest` may use

type message struct {
	Type, Run, Key, Hold string
	ID                   int
	TTL                  time.Duration `json:"ttl_ms"`
	Timeout              time.Duration `json:"timeout_ms"`
}

var (
	locks *redsync.Redsync
	run   string
	ttl   time.Duration

	mu      sync.Mutex                        // of what follows
	waiting = map[string]context.CancelFunc{} // by hold
	held    = map[string]*redsync.Mutex{}     // by hold
)

func answer(m message, kind, more string) {
	fmt.Printf(`{"type":%q,"re":%d,"hold":%q%s}`+"\n", kind, m.ID, m.Hold, more)
}

func start(m message) {
	dial := func() (redis.Conn, error) { return redis.DialURL(os.Getenv("HOLDFAST_LOCK_REDIS_URL")) }
	if connection, err := dial(); err != nil {
		text, _ := json.Marshal("HOLDFAST_LOCK_REDIS_URL: " + err.Error())
		answer(m, "error", `,"code":"config","text":`+string(text))
	} else {
		connection.Close()
		locks = redsync.New(redigo.NewPool(&redis.Pool{MaxIdle: 64, Dial: dial}))
		run, ttl = m.Run, m.TTL*time.Millisecond
		answer(m, "ready", `,"name":"redsync","version":"4","language":"Go","claims":{"lease":true}`)
	}
}

func newMutex(key string) *redsync.Mutex {
	return locks.NewMutex(prefix+run+":"+key, redsync.WithExpiry(ttl), redsync.WithTries(math.MaxInt),
		redsync.WithRetryDelay(5*time.Millisecond))
}

func acquire(m message, ctx context.Context, stop context.CancelFunc) {
	defer stop()
	mutex := newMutex(m.Key)
	err := mutex.LockContext(ctx)
	mu.Lock()
	defer mu.Unlock()
	_, wanted := waiting[m.Hold]
	delete(waiting, m.Hold)
	switch {
	case !wanted && err == nil: // cancelled
		mutex.Unlock()
	case wanted && err == nil:
		held[m.Hold] = mutex
		answer(m, "acquired", "")
	case wanted:
		answer(m, "timeout", "")
	}
}

// change answers `done`, or `lost` if the action on the held lock fails.
func change(m message, mutex *redsync.Mutex, done string, action func(*redsync.Mutex) (bool, error)) {
	if mutex == nil {
		answer(m, "lost", "")
	} else if ok, err := action(mutex); ok {
		answer(m, done, "")
	} else {
		text, _ := json.Marshal(fmt.Sprint(err))
		answer(m, "lost", `,"text":`+string(text))
	}
}

func receive(m message) {
	mu.Lock()
	defer mu.Unlock()
	mutex := held[m.Hold]
	switch m.Type {
	case "init":
		start(m)
	case "ping":
		answer(m, "pong", "")
	case "acquire":
		ctx, stop := context.WithTimeout(context.Background(), m.Timeout*time.Millisecond)
		waiting[m.Hold] = stop
		go acquire(m, ctx, stop)
	case "cancel":
		if mutex != nil {
			answer(m, "acquired", "")
			return
		}
		if stop, waits := waiting[m.Hold]; waits {
			delete(waiting, m.Hold)
			stop()
		}
		answer(m, "cancelled", "")
	case "extend":
		go change(m, mutex, "extended", (*redsync.Mutex).Extend)
	case "release":
		delete(held, m.Hold)
		go change(m, mutex, "released", (*redsync.Mutex).Unlock)
	case "close":
		answer(m, "closed", "")
	}
}

func main() {
	// No message is passed from one thread to another, which would take longer than all else that this program does.
	runtime.GOMAXPROCS(1)
	syscall.SetNonblock(syscall.Stdin, true)
	for lines := bufio.NewScanner(os.NewFile(uintptr(syscall.Stdin), "stdin")); lines.Scan(); {
		var m message
		if err := json.Unmarshal(lines.Bytes(), &m); err != nil {
			panic(err)
		}
		receive(m)
	}
}
