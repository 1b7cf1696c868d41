package sentence

import (
	"strings"

	"github.com/assay-registry/assay/store"
)

// Max is the most characters of what a client shows.
const Max = 300

// Clip keeps s within n bytes, at a character's border.
func Clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	cut := n - len("...")
	for cut > 0 && s[cut]&0xc0 == 0x80 {
		cut--
	}
	return s[:cut] + "..."
}

// shorten keeps s within n bytes by taking out its middle, at spaces where there are some: the beginning says what, and the end why.
func shorten(s string, n int) string {
	if len(s) <= n {
		return s
	}
	head := strings.TrimSuffix(Clip(s, n/3+len("...")), "...")
	if i := strings.LastIndexByte(head, ' '); i > 0 {
		head = head[:i]
	}
	tail := s[len(s)-(n-len(head)-len(" ... ")):]
	if i := strings.IndexByte(tail, ' '); i >= 0 && i < len(tail)/2 {
		tail = tail[i+1:]
	}
	for len(tail) > 0 && tail[0]&0xc0 == 0x80 {
		tail = tail[1:]
	}
	return head + " ... " + tail
}

// minWhy is what is left of a reason at least, in bytes, however long its remedy is.
const minWhy = 80

// Of joins what, why and remedy. When there is too much, the reason loses its middle first: it is told in full elsewhere, and the remedy is what is pasted.
func Of(what, why, remedy string) string {
	const fix = ". To fix: "
	why, remedy = strings.TrimSuffix(strings.TrimSpace(why), "."), strings.TrimSuffix(remedy, ".")
	s := what
	if why != "" && remedy != "" {
		room := Max - len(".") - len(what+": "+fix+remedy)
		why = shorten(why, max(room, minWhy))
	}
	if why != "" {
		s += ": " + why
	}
	if remedy != "" {
		s += fix + remedy
	}
	s = Clip(s, Max-1)
	if last := s[strings.LastIndexByte(s, ' ')+1:]; remedy != "" && strings.ContainsAny(last, "@/:") {
		return s // a command that is pasted with a full stop names something else
	}
	return strings.TrimSuffix(s, ".") + "."
}

// Because joins what was done and why, where somebody says why.
func Because(what, reason string) string {
	if reason == "" {
		return what
	}
	return what + ": " + reason
}

// FromError is the text of an error for a person.
func FromError(err error) string {
	if e, ok := err.(*store.Error); ok {
		return e.Message
	}
	return err.Error()
}
