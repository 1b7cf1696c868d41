package engine

import (
	"hash/maphash"
	"strings"
	"sync/atomic"
)

// places remember what texts come to. There are so many of them, whatever texts come: a text has two that it may be in, and puts out what is in the second. Safe for concurrent use.
type places[V any] struct {
	list [textPlaces]atomic.Pointer[placed[V]]
}

const textPlaces = 2048

type placed[V any] struct {
	text  string
	value V
}

// of is what a text comes to, by what makes it where it is not known, and says whether to keep it.
func (p *places[V]) of(seed maphash.Seed, text string, make func(text string) (v V, keep bool)) V {
	hash := maphash.String(seed, text)
	first, second := &p.list[hash%textPlaces], &p.list[hash>>32%textPlaces]
	for _, place := range [...]*atomic.Pointer[placed[V]]{first, second} {
		if known := place.Load(); known != nil && known.text == text {
			return known.value
		}
	}
	text = strings.Clone(text) // the document that it is a part of is not kept
	v, keep := make(text)
	if one := (&placed[V]{text, v}); keep && !first.CompareAndSwap(nil, one) {
		second.Store(one)
	}
	return v
}
