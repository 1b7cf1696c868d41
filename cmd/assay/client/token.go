package client

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

func bearer(challenge string) bool {
	return len(challenge) >= 7 && strings.EqualFold(challenge[:7], "Bearer ")
}

// token follows a challenge of Docker's token flow. The realm must be the server itself: a challenge must not carry credentials elsewhere.
func (c *Client) token(ctx context.Context, challenge string) (string, error) {
	p := parseChallenge(challenge[len("Bearer "):])
	realm, err := url.Parse(p["realm"])
	if err != nil || realm.Scheme != c.server.Scheme || realm.Host != c.server.Host || realm.User != nil {
		return "", fmt.Errorf("%s sends callers elsewhere for a token, which is not followed", c.server.Host)
	}
	query := realm.Query()
	for _, name := range []string{"service", "scope"} {
		if p[name] != "" {
			query.Set(name, p[name])
		}
	}
	a, err := c.send(ctx, request{method: http.MethodGet, path: realm.Path, query: query}, "")
	if err != nil {
		return "", err
	}
	if a.status != http.StatusOK {
		return "", c.refusal(a)
	}
	var body struct {
		Token       string `json:"token"`
		AccessToken string `json:"access_token"`
	}
	if err := json.Unmarshal(a.body, &body); err != nil {
		return "", fmt.Errorf("%s answers something that is no token", c.server.Host)
	}
	if body.Token == "" {
		body.Token = body.AccessToken
	}
	if body.Token == "" || strings.ContainsAny(body.Token, "\r\n") {
		return "", fmt.Errorf("%s answers something that is no token", c.server.Host)
	}
	return body.Token, nil
}

// parseChallenge reads name="value" pairs (RFC 9110 section 11.2); a name that comes twice keeps its first value, what is malformed ends the list.
func parseChallenge(s string) map[string]string {
	pairs := map[string]string{}
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
