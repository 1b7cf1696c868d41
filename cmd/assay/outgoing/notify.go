package outgoing

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/assay-registry/assay/cmd/assay/config"
	"github.com/assay-registry/assay/policy/outbox"
)

// Targets are who is told of events.
func Targets(cfg *config.Config, agent string) ([]outbox.Target, error) {
	var list []outbox.Target
	for _, n := range cfg.Notify {
		post, err := newPoster(n, agent, nil)
		if err != nil {
			return nil, err
		}
		list = append(list, outbox.Target{URL: n.URL, Repositories: config.Globs(n.Repositories), Events: n.Events, Post: post})
	}
	return list, nil
}

// newPoster makes the client of one target, which goes no further than the target's address says. A nil resolver is the machine's.
func newPoster(n config.Notify, agent string, resolver *net.Resolver) (poster, error) {
	u, err := url.Parse(n.URL)
	if err != nil {
		return poster{}, err
	}
	c := Client(u, n.NetworksOf(), resolver)
	c.Timeout = postTimeout
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse } // it could lead to where nothing may be posted
	return poster{c, n.URL, agent}, nil
}

// postTimeout is how long a target may take to answer.
const postTimeout = 15 * time.Second

// poster posts to one target.
type poster struct {
	client     *http.Client
	url, agent string
}

// Post implements outbox.Poster. Of an error it does not say the address, which may hold a secret.
func (p poster) Post(ctx context.Context, body []byte) (int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", "application/cloudevents+json; charset=utf-8")
	req.Header.Set("User-Agent", p.agent)
	res, err := p.client.Do(req)
	if err != nil {
		if wrapped := new(url.Error); errors.As(err, &wrapped) {
			err = wrapped.Err
		}
		if errors.Is(err, errInternalAddress) {
			err = errors.New("its name leads to this machine or into a private network; where that is meant, list the network in its networks")
		}
		return 0, err
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 64<<10)) // so that the connection can be used again
	return res.StatusCode, nil
}
