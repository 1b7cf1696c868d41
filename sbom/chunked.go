package sbom

import "iter"

// chunked is a list that grows without being copied: while one that is copied grows, it is there twice, and whoever wrote the document chooses how long it is.
type chunked[T any] struct {
	parts [][]T
	n     int
}

// A part begins small, for most documents have few of anything.
const (
	firstPart = 64
	mostPart  = 1 << 15
)

func (c *chunked[T]) add(v T) {
	last := len(c.parts) - 1
	if last < 0 || len(c.parts[last]) == cap(c.parts[last]) {
		c.parts = append(c.parts, make([]T, 0, min(max(c.n, firstPart), mostPart)))
		last++
	}
	c.parts[last], c.n = append(c.parts[last], v), c.n+1
}

func (c *chunked[T]) all() iter.Seq[T] {
	return func(yield func(T) bool) {
		for _, part := range c.parts {
			for _, v := range part {
				if !yield(v) {
					return
				}
			}
		}
	}
}
