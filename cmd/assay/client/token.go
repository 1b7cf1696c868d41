package client

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/assay-registry/assay/cmd/assay/docker"
)

// token follows a challenge of Docker's token flow. The realm must be the server itself: a challenge must not carry credentials elsewhere.
func (c *Client) token(ctx context.Context, challenge string) (string, error) {
	p := docker.ParseChallenge(challenge)
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
