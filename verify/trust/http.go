package trust

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
)

// maxRedirects is how many redirects are followed for one file.
const maxRedirects = 3

type web struct {
	metadata, targets string // with a slash at the end
	client            *http.Client
}

// HTTP reads a repository from a web server. Metadata lies below one URL, targets below another; targets "" means the sibling targets/ of a URL that ends
// with /metadata, and targets/ below any other. Which hosts may be reached, and how long that may take, is the business of the client that is passed in, of which a
// copy is used: it follows redirects within the host alone. Errors: ErrMalformed for a URL that is not http or https, or has a query.
func HTTP(metadata, targets string, client *http.Client) (Source, error) {
	w := &web{metadata: strings.TrimSuffix(metadata, "/") + "/", targets: strings.TrimSuffix(targets, "/") + "/"}
	if targets == "" {
		w.targets = w.metadata + targetsDir
		if parent, ok := strings.CutSuffix(w.metadata, "/metadata/"); ok {
			w.targets = parent + "/" + targetsDir
		}
	}
	for _, base := range []string{w.metadata, w.targets} {
		u, err := url.Parse(base)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
			return nil, failf(ErrMalformed, "", "%q is no address of a TUF repository; write https://host/path without a query", base)
		}
	}
	c := *client
	c.CheckRedirect = sameHost
	w.client = &c
	return w, nil
}

func sameHost(r *http.Request, via []*http.Request) error {
	first := via[0].URL
	switch {
	case len(via) > maxRedirects:
		return errors.New("too many redirects")
	case r.URL.Host != first.Host || r.URL.Scheme != first.Scheme:
		return errors.New("a redirect to another host or scheme is not followed")
	}
	return nil
}

// Fetch is [Source].
func (w *web) Fetch(ctx context.Context, name string, limit int64) ([]byte, error) {
	address := w.metadata + name
	if target, ok := strings.CutPrefix(name, targetsDir); ok {
		address = w.targets + target
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, failf(ErrMalformed, "", "%s makes no address: %w", name, err)
	}
	r.Header.Set("Accept-Encoding", "identity")
	answer, err := w.client.Do(r)
	if err != nil {
		return nil, failf(ErrUnavailable, "", "%s could not be asked for; the TUF repository cannot be reached: %w", name, err)
	}
	defer func() { _ = answer.Body.Close() }()
	switch answer.StatusCode {
	case http.StatusOK:
	case http.StatusNotFound, http.StatusGone, http.StatusForbidden: // object stores say 403 for what is not there
		return nil, notFound(name)
	default:
		return nil, failf(ErrUnavailable, "", "the TUF repository answers %d for %s", answer.StatusCode, name)
	}
	if answer.ContentLength > limit {
		return nil, tooBig(name, limit)
	}
	return readAll(answer.Body, name, limit)
}
