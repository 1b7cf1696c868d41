package store

// A space is a part of the key space that belongs to another package, such as an index: ordered keys and values whose meaning the core does not know.
// What is written there is committed together with everything else in the transaction, and what a transaction reads there is part of what its
// commit checks.

// SpaceReader reads a space, from a snapshot or within a transaction. From a snapshot, slices are valid inside Local.View only; nobody changes them.
type SpaceReader struct {
	r      reader
	prefix string
}

// Space is a space in a transaction.
type Space struct {
	SpaceReader
	t *Txn
}

// Space returns a space for reading. Its name is a constant of its owner: 1 to 16 lower-case letters; any other panics.
func (r Records) Space(name string) SpaceReader {
	if !spaceName(name) {
		panic("store: a space has a name of 1 to 16 lower-case letters")
	}
	return SpaceReader{r.r, "X" + name + "\x00"}
}

// Space returns a space for reading and writing; see [Records.Space].
func (t *Txn) Space(name string) Space { return Space{t.Records.Space(name), t} }

func spaceName(name string) bool {
	for i := range len(name) {
		if name[i] < 'a' || name[i] > 'z' {
			return false
		}
	}
	return name != "" && len(name) <= 16
}

func (s SpaceReader) key(key []byte) []byte {
	return append(append(make([]byte, 0, len(s.prefix)+len(key)), s.prefix...), key...)
}

// Get returns the value of a key, or nil if there is none.
func (s SpaceReader) Get(key []byte) []byte { return s.r.get(s.key(key)) }

// Scan returns at most limit pairs with from <= key < to, in order; nil is the end of the space. The pairs are copies.
func (s SpaceReader) Scan(from, to []byte, limit int) []Pair {
	end := after([]byte(s.prefix))
	if to != nil {
		end = s.key(to)
	}
	pairs := s.r.scan(s.key(from), end, limit)
	for i := range pairs {
		pairs[i].Key = pairs[i].Key[len(s.prefix):]
	}
	return pairs
}

// Put sets the value of a key, which is not empty. Neither is changed afterwards.
func (s Space) Put(key, value []byte) { s.t.put(s.key(key), value) }

// Delete removes a key if it is there.
func (s Space) Delete(key []byte) { s.t.delete(s.key(key)) }
