package server

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/assay-registry/assay/store"
)

// maxMessage bounds what an error tells, in bytes. Messages are made to be at most 300 characters.
const maxMessage = 1200

// statusGone is logged, never sent: the client went away before it had its answer.
const statusGone = 499

// errorBody is the document of every error (distribution specification, "Error Codes"): always exactly one.
type errorBody struct {
	Errors [1]errorItem `json:"errors"`
}

type errorItem struct {
	Code    store.Code `json:"code"`
	Message string     `json:"message"`
	Detail  string     `json:"detail,omitempty"`
}

// links are where more is to be read about an error: why this happened here, and what the reason means anywhere.
func (c *call) links(e *store.Error) string {
	var links []string
	if validLink(e.Explain) {
		links = append(links, "<"+e.Explain+`>; rel="describedby"`)
	}
	if help := c.help(e.Reason); help != "" {
		links = append(links, "<"+help+`>; rel="help"`)
	}
	return strings.Join(links, ", ")
}

// help is the path of a reason code's page; empty where the catalogue has none, as for codes of policies of one's own.
func (c *call) help(code string) string {
	if d := c.h.options.Documents; code != "" && d != nil {
		if _, ok := d.Code(code); ok {
			return Route{Endpoint: EndpointCode, Arg: code}.Path()
		}
	}
	return ""
}

// fail renders err: the one place where an error becomes a response.
func (c *call) fail(err error) {
	e := c.understand(err)
	if e == nil {
		c.w.status, c.broken = statusGone, http.ErrAbortHandler
		return
	}
	status := e.Status()
	c.code, c.refused = e.Code, e
	h := c.w.Header()
	switch status {
	case http.StatusUnauthorized:
		h.Set("WWW-Authenticate", c.challenge(err))
	case http.StatusTooManyRequests:
		h.Set("Retry-After", retryAfter(err))
	case http.StatusMethodNotAllowed:
		if allowed := methods[c.route.Endpoint]; allowed != "" && e.Code == store.CodeMethod {
			h.Set("Allow", allowed)
		}
	case http.StatusRequestEntityTooLarge:
		h.Set("Connection", "close") // the rest of the body is not worth reading
	}
	if links := c.links(e); links != "" {
		h.Set("Link", links)
	}
	item := errorItem{Code: e.Wire(), Message: visible(c.addressed(e.Message)), Detail: visible(c.addressed(e.Detail))}
	if status >= 500 && c.route.Endpoint != EndpointReady { // not being ready is an answer, not a failure
		c.h.options.Log.LogAttrs(c.r.Context(), slog.LevelError, "request failed",
			slog.String("id", c.id), slog.String("code", string(e.Code)), slog.String("message", e.Message), slog.Any("cause", e.Cause))
	}
	if status >= 500 {
		item.Message = withoutCause(e)
	}
	if status == http.StatusInternalServerError {
		item.Message = "the registry failed at this; its log has the reason under the id " + c.id
		item.Detail = c.id
	}
	for _, stale := range []string{"Content-Length", "Etag", "Content-Disposition", "Docker-Content-Digest"} {
		h.Del(stale)
	}
	h["Cache-Control"], h["Content-Type"] = headerNoStore, headerJSON // the next answer may be another
	c.w.WriteHeader(status)
	if c.r.Method == http.MethodHead {
		return
	}
	document, err := json.Marshal(errorBody{[1]errorItem{item}})
	if err == nil {
		_, err = c.w.Write(document)
	}
	c.note(err)
}

// placeholder stands for this registry in remedies: who writes them does not know under which name the client came.
const placeholder = "<registry>"

// addressed puts the name by which the client reaches the registry into a remedy, so that it works when pasted.
func (c *call) addressed(s string) string {
	if !strings.Contains(s, placeholder) {
		return s
	}
	_, host, _ := strings.Cut(c.origin(), "://")
	return strings.ReplaceAll(s, placeholder, host)
}

// understand finds the error to tell; nil where nobody is there to be told.
func (c *call) understand(err error) *store.Error {
	e, known := errors.AsType[*store.Error](err)
	switch {
	case c.body != nil && c.body.err != nil && (!known || e.Status() >= 500 || errors.Is(err, c.body.err)):
		if c.body.slow() {
			c.w.Header().Set("Connection", "close")
			return store.Errorf(c.bodyCode(), "the body came too slowly; continue, or send it again")
		}
		return store.Errorf(c.bodyCode(), "the body broke off before its end; continue, or send it again")
	case c.r.Context().Err() != nil && (!known || e.Status() >= 500):
		return nil
	case known:
		return e
	}
	return &store.Error{Code: store.CodeInternal, Message: "unexpected error", Cause: err}
}

func (c *call) bodyCode() store.Code {
	if c.route.Endpoint == EndpointManifest {
		return store.CodeManifestInvalid
	}
	return store.CodeBlobUploadInvalid
}

// withoutCause is the message of a failure of the registry itself. A formatted error carries the text of its cause: paths and addresses
// that are the log's alone.
func withoutCause(e *store.Error) string {
	if e.Cause == nil || !strings.Contains(e.Message, e.Cause.Error()) {
		return visible(e.Message)
	}
	if message, ok := strings.CutSuffix(e.Message, ": "+e.Cause.Error()); ok {
		return visible(message)
	}
	return "the registry cannot do this at the moment; its log has the reason"
}

// retryAfter is how many seconds to wait: as the cause says, or 5.
func retryAfter(err error) string {
	wait := 5 * time.Second
	var l interface{ RetryAfter() time.Duration }
	if errors.As(err, &l) {
		wait = l.RetryAfter()
	}
	return strconv.Itoa(max(1, int((wait+time.Second-1)/time.Second)))
}

// visible makes every control character of a text visible, so that no terminal obeys what somebody wrote into an annotation, and bounds
// its length.
func visible(s string) string {
	if len(s) > maxMessage {
		s = strings.ToValidUTF8(s[:maxMessage], "") + "..."
	}
	if strings.IndexFunc(s, control) < 0 {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if control(r) {
			q := strconv.QuoteRuneToASCII(r)
			b.WriteString(q[1 : len(q)-1])
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

// control: control characters, and those that only change how others are shown (bidirectional overrides, zero-width joiners).
func control(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) }

// validLink reports whether a path may stand between the angle brackets of a Link header.
func validLink(path string) bool {
	if path == "" || path[0] != '/' || len(path) > 2048 {
		return false
	}
	for i := range len(path) {
		if c := path[i]; c <= ' ' || c >= 0x7f || c == '<' || c == '>' || c == '"' {
			return false
		}
	}
	return true
}

// maxWarnings is the most bytes of warnings in one response (distribution specification, "Warnings").
const maxWarnings = 4096

// warn sets Warning headers (RFC 7234 section 5.5). What would exceed the limit is left out.
func (c *call) warn(h http.Header, warnings []string) {
	total := 0
	for _, text := range warnings {
		value := `299 - "` + quoted(c.addressed(text)) + `"`
		if total += len(value); total > maxWarnings {
			return
		}
		h.Add("Warning", value)
	}
}

// quoted is the inside of a quoted-string in visible ASCII.
func quoted(s string) string {
	var b strings.Builder
	for _, r := range visible(s) {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r < ' ' || r > '~':
			b.WriteByte('?')
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}
