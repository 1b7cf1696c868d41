package mem

import (
	"bytes"
	"iter"
)

// node is a node of an AVL tree that is never changed once it is reachable: put and remove copy the path to the root, so that
// whoever holds a root holds a snapshot.
type node struct {
	key, value  []byte
	left, right *node
	height      int
}

func (n *node) tall() int {
	if n == nil {
		return 0
	}
	return n.height
}

// join makes a node over two balanced trees whose heights differ by at most two, and rotates where they do.
func join(key, value []byte, left, right *node) *node {
	switch d := left.tall() - right.tall(); {
	case d > 1 && left.left.tall() >= left.right.tall():
		return raw(left.key, left.value, left.left, raw(key, value, left.right, right))
	case d > 1:
		mid := left.right
		return raw(mid.key, mid.value, raw(left.key, left.value, left.left, mid.left), raw(key, value, mid.right, right))
	case d < -1 && right.right.tall() >= right.left.tall():
		return raw(right.key, right.value, raw(key, value, left, right.left), right.right)
	case d < -1:
		mid := right.left
		return raw(mid.key, mid.value, raw(key, value, left, mid.left), raw(right.key, right.value, mid.right, right.right))
	}
	return raw(key, value, left, right)
}

func raw(key, value []byte, left, right *node) *node {
	return &node{key: key, value: value, left: left, right: right, height: 1 + max(left.tall(), right.tall())}
}

func (n *node) get(key []byte) []byte {
	for n != nil {
		switch c := bytes.Compare(key, n.key); {
		case c == 0:
			return n.value
		case c < 0:
			n = n.left
		default:
			n = n.right
		}
	}
	return nil
}

// put returns a tree that holds the pair too. It keeps both slices.
func (n *node) put(key, value []byte) *node {
	if n == nil {
		return raw(key, value, nil, nil)
	}
	switch c := bytes.Compare(key, n.key); {
	case c == 0:
		return raw(n.key, value, n.left, n.right)
	case c < 0:
		return join(n.key, n.value, n.left.put(key, value), n.right)
	default:
		return join(n.key, n.value, n.left, n.right.put(key, value))
	}
}

// remove returns a tree without the key: n itself if it has none.
func (n *node) remove(key []byte) *node {
	if n == nil {
		return nil
	}
	switch c := bytes.Compare(key, n.key); {
	case c < 0:
		if left := n.left.remove(key); left != n.left {
			return join(n.key, n.value, left, n.right)
		}
	case c > 0:
		if right := n.right.remove(key); right != n.right {
			return join(n.key, n.value, n.left, right)
		}
	case n.left == nil:
		return n.right
	case n.right == nil:
		return n.left
	default:
		next := n.right
		for next.left != nil {
			next = next.left
		}
		return join(next.key, next.value, n.left, n.right.remove(next.key))
	}
	return n
}

// seek returns the path to the first key at or after from (after it, if beyond is set): the nodes that are still to be visited, next last.
func (n *node) seek(from []byte, beyond bool) []*node {
	path := make([]*node, 0, n.tall())
	for n != nil {
		c := bytes.Compare(n.key, from)
		if c > 0 || c == 0 && !beyond {
			path = append(path, n)
			n = n.left
		} else {
			n = n.right
		}
	}
	return path
}

// scan yields from <= key < to of the tree that root answers. It asks again after each pair, so that a writer may change the tree meanwhile
// and sees what it wrote ahead of the scan.
func scan(root func() *node, from, to []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func([]byte, []byte) bool) {
		tree := root()
		path := tree.seek(from, false)
		for len(path) > 0 {
			n := path[len(path)-1]
			path = path[:len(path)-1]
			if to != nil && bytes.Compare(n.key, to) >= 0 || !yield(n.key, n.value) {
				return
			}
			if now := root(); now != tree {
				tree = now
				path = tree.seek(n.key, true)
				continue
			}
			for c := n.right; c != nil; c = c.left {
				path = append(path, c)
			}
		}
	}
}
