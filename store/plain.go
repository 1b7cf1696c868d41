package store

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Plain reads a JSON document that encoding/json wrote of a value of ours: from left to right, without reflection, a third of what [json.Unmarshal] takes. Whatever it does
// not expect (white space, null, a member that nobody asked for) ends it: then End is false, and the caller has encoding/json read all of it. So a record is
// read faster, and never otherwise. It is no judge of what comes from outside: see [StrictJSON]. Strings share one copy of the document.
//
//	for p.Enter('{'); p.More('}'); {
//		switch p.Key() {
//		case "size":
//			size = p.Int()
//		default:
//			p.Fail()
//		}
//	}
type Plain struct {
	s   string
	i   int
	bad bool
}

// ReadPlain begins a document.
func ReadPlain(b []byte) Plain { return Plain{s: string(b)} }

// Fail says that this is not what was expected.
func (p *Plain) Fail() { p.bad = true }

// End reports whether all of the document was read, as expected.
func (p *Plain) End() bool { return !p.bad && p.i == len(p.s) }

func (p *Plain) peek() byte {
	if p.i < len(p.s) {
		return p.s[p.i]
	}
	return 0
}

// take goes on after c, which has to be next.
func (p *Plain) take(c byte) {
	if p.peek() != c {
		p.bad = true
		return
	}
	p.i++
}

// Enter goes into an object or array, which begins with '{' or '['.
func (p *Plain) Enter(begin byte) { p.take(begin) }

// More reports whether another member or element follows, before the '}' or ']' that ends them.
func (p *Plain) More(end byte) bool {
	if p.bad || p.i >= len(p.s) {
		p.bad = true
		return false
	}
	if c := p.s[p.i-1]; c == '{' || c == '[' { // no value ends so: this is the first
		if p.s[p.i] == end {
			p.i++
			return false
		}
		return true
	}
	if p.s[p.i] == end {
		p.i++
		return false
	}
	p.take(',')
	return !p.bad
}

// Key is the key of the next member.
func (p *Plain) Key() string {
	p.take('"')
	n := strings.IndexByte(p.s[p.i:], '"')
	if p.bad || n < 0 {
		p.bad = true
		return ""
	}
	key := p.s[p.i : p.i+n]
	p.i += n + 1
	if p.take(':'); strings.IndexByte(key, '\\') >= 0 {
		p.bad = true
	}
	return key
}

// Null reports whether null is next, and goes on after it.
func (p *Plain) Null() bool { return p.word("null") }

func (p *Plain) word(w string) bool {
	if p.bad || !strings.HasPrefix(p.s[p.i:], w) {
		return false
	}
	p.i += len(w)
	return true
}

// Bool is a boolean.
func (p *Plain) Bool() bool {
	if p.word("true") {
		return true
	}
	p.bad = !p.word("false") || p.bad
	return false
}

// Int is a whole number.
func (p *Plain) Int() int64 {
	start := p.i
	if p.peek() == '-' {
		p.i++
	}
	first := p.i
	for c := p.peek(); c >= '0' && c <= '9'; c = p.peek() {
		p.i++
	}
	n, err := strconv.ParseInt(p.s[start:p.i], 10, 64)
	if err != nil || p.s[first] == '0' && p.i > first+1 {
		p.bad = true
	}
	return n
}

// literal is a string as it is written, with its quotes. plain says that there is nothing to decode in it.
func (p *Plain) literal() (literal string, plain bool) {
	start := p.i
	p.take('"')
	ascii, escaped := true, false
	for ; p.i < len(p.s); p.i++ {
		switch c := p.s[p.i]; {
		case c == '"':
			p.i++
			return p.s[start:p.i], !escaped && (ascii || utf8.ValidString(p.s[start:p.i]))
		case c == '\\':
			escaped = true
			p.i++
		case c < ' ':
			p.bad = true
		case c >= utf8.RuneSelf:
			ascii = false
		}
	}
	p.i, p.bad = len(p.s), true
	return "", false
}

// Text is a string.
func (p *Plain) Text() string {
	literal, plain := p.literal()
	if p.bad {
		return ""
	}
	if plain {
		return literal[1 : len(literal)-1]
	}
	var decoded string
	p.bad = json.Unmarshal([]byte(literal), &decoded) != nil
	return decoded
}

// Time is a point in time.
func (p *Plain) Time() (t time.Time) {
	literal, _ := p.literal()
	p.bad = p.bad || t.UnmarshalJSON([]byte(literal)) != nil
	return t
}

// Texts are the strings of an array.
func (p *Plain) Texts() []string { return plainTexts[string](p) }

// Digests are the digests of an array.
func (p *Plain) Digests() []Digest { return plainTexts[Digest](p) }

func plainTexts[T ~string](p *Plain) []T {
	list := []T{}
	for p.Enter('['); p.More(']'); {
		list = append(list, T(p.Text()))
	}
	return list
}

// TextMap is an object of strings.
func (p *Plain) TextMap() map[string]string {
	m := map[string]string{}
	for p.Enter('{'); p.More('}'); {
		key := p.Key()
		m[key] = p.Text()
	}
	return m
}

// Decode has encoding/json read an object, into what v points to.
func (p *Plain) Decode(v any) {
	start, depth := p.i, 0
	for !p.bad {
		switch p.peek() {
		case '"':
			p.literal()
			continue
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		case 0:
			p.bad = true
			return
		}
		if p.i++; depth <= 0 {
			break
		}
	}
	p.bad = p.bad || json.Unmarshal([]byte(p.s[start:p.i]), v) != nil
}

func (d *Detail) read(p *Plain) bool {
	for p.Enter('{'); p.More('}'); {
		switch p.Key() {
		case "alternate":
			d.Alternate = Digest(p.Text())
		case "artifact_type":
			d.ArtifactType = p.Text()
		case "subject":
			d.Subject = Digest(p.Text())
		case "about":
			d.About = p.Digests()
		case "stood":
			d.Stood = p.Texts()
		case "pushers":
			d.Pushers = p.Texts()
		case "first_seen":
			d.FirstSeen = p.Time()
		case "clock":
			d.Clock = p.Time()
		case "changed_at":
			d.ChangedAt = p.Time()
		case "ever_admitted":
			d.EverAdmitted = p.Bool()
		case "decision":
			d.Decision = p.Text()
		case "judged":
			d.Judged = p.Text()
		case "renewed":
			d.Renewed = p.Bool()
		case "decided_at":
			d.DecidedAt = p.Time()
		case "revision":
			d.Revision = p.Text()
		case "code":
			d.Code = p.Text()
		case "reason":
			d.Reason = p.Text()
		case "remedy":
			d.Remedy = p.Text()
		default: // the others are rare
			p.Fail()
		}
	}
	return p.End()
}

func (t *TagRecord) read(p *Plain) bool {
	for p.Enter('{'); p.More('}'); {
		switch p.Key() {
		case "current":
			t.Current = Digest(p.Text())
		case "visible":
			t.Visible = Digest(p.Text())
		case "current_at":
			t.CurrentAt = p.Time()
		case "visible_at":
			t.VisibleAt = p.Time()
		case "reason":
			t.Reason = p.Text()
		case "code":
			t.Code = p.Text()
		case "denied":
			t.Denied = p.Bool()
		default:
			p.Fail()
		}
	}
	return p.End()
}

func (b *BlobRecord) read(p *Plain) bool {
	for p.Enter('{'); p.More('}'); {
		switch p.Key() {
		case "size":
			b.Size = p.Int()
		case "at":
			b.LinkedAt = p.Time()
		case "short":
			b.Short = p.Bool()
		default:
			p.Fail()
		}
	}
	return p.End()
}
