package auth

import (
	"container/list"
	"sync"
)

// lru is a bounded map that forgets what was used longest ago. The zero value is not ready: use newLRU.
type lru[K comparable, V any] struct {
	mu    sync.Mutex
	size  int
	order *list.List          // guarded by mu; front is newest; values are *entry[K, V]
	items map[K]*list.Element // guarded by mu
}

type entry[K comparable, V any] struct {
	key   K
	value V
}

func newLRU[K comparable, V any](size int) *lru[K, V] {
	return &lru[K, V]{size: size, order: list.New(), items: make(map[K]*list.Element)}
}

func (c *lru[K, V]) get(key K) (V, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.items[key]; ok {
		c.order.MoveToFront(e)
		return e.Value.(*entry[K, V]).value, true
	}
	var zero V
	return zero, false
}

func (c *lru[K, V]) put(key K, value V) {
	c.update(key, func(V, bool) V { return value })
}

// update replaces the value of key by fn(old, present) and returns it. fn runs under the lock.
func (c *lru[K, V]) update(key K, fn func(V, bool) V) V {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.items[key]; ok {
		c.order.MoveToFront(e)
		en := e.Value.(*entry[K, V])
		en.value = fn(en.value, true)
		return en.value
	}
	var zero V
	value := fn(zero, false)
	if c.order.Len() >= c.size {
		oldest := c.order.Back()
		c.order.Remove(oldest)
		delete(c.items, oldest.Value.(*entry[K, V]).key)
	}
	c.items[key] = c.order.PushFront(&entry[K, V]{key, value})
	return value
}

func (c *lru[K, V]) len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.order.Len()
}
