package docker

import "strings"

// Bearer reports whether a challenge, the value of WWW-Authenticate, wants a token.
func Bearer(challenge string) bool {
	return len(challenge) >= len(bearerScheme) && strings.EqualFold(challenge[:len(bearerScheme)], bearerScheme)
}

const bearerScheme = "Bearer "

// ParseChallenge reads the name="value" pairs of a challenge (RFC 9110 section 11.2) for which Bearer is true; a name that comes twice keeps its first value, what
// is malformed ends the list.
func ParseChallenge(challenge string) map[string]string {
	pairs := map[string]string{}
	if !Bearer(challenge) {
		return pairs
	}
	s := challenge[len(bearerScheme):]
	for s != "" {
		name, rest, ok := strings.Cut(strings.TrimLeft(s, " \t,"), "=")
		if !ok {
			break
		}
		value, after, ok := parameter(rest)
		if !ok {
			break
		}
		if name = strings.ToLower(strings.TrimSpace(name)); pairs[name] == "" {
			pairs[name] = value
		}
		s = after
	}
	return pairs
}

// parameter reads a token or a quoted string and what follows it.
func parameter(s string) (value, rest string, ok bool) {
	if !strings.HasPrefix(s, `"`) {
		value, rest, _ = strings.Cut(s, ",")
		return strings.TrimSpace(value), rest, true
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '"':
			return b.String(), s[i+1:], true
		case '\\':
			i++
			if i == len(s) {
				return "", "", false
			}
		}
		b.WriteByte(s[i])
	}
	return "", "", false
}
