package server

import (
	"io"
	"math"
	"net/http"
	"time"
)

// response notes what was answered and bounds how long a client may take to read it. It keeps io.ReaderFrom, so that a file still reaches
// the connection and goes out by sendfile.
type response struct {
	http.ResponseWriter
	status int
	bytes  int64
	stall  time.Duration // how long one write, or one piece of a copy, may take; 0 for ever
	clock  func() time.Time
}

// piece is how many bytes of a copy go out under one deadline.
const piece = 1 << 20

// Unwrap lets http.ResponseController find the connection.
func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// extend moves the deadline for what is written next. A connection that has none (a test's recorder) goes without.
func (w *response) extend() {
	if w.stall <= 0 {
		return
	}
	if d, ok := w.ResponseWriter.(interface{ SetWriteDeadline(time.Time) error }); ok {
		_ = d.SetWriteDeadline(w.clock().Add(w.stall)) // fails only where deadlines are not supported
	}
}

// WriteHeader notes the status.
func (w *response) WriteHeader(status int) {
	if w.status == 0 && status >= 200 {
		w.status = status
		w.extend()
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write counts.
func (w *response) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	n, err := w.ResponseWriter.Write(b)
	w.bytes += int64(n)
	return n, err
}

// ReadFrom copies src to the connection. The writer below unwraps one io.LimitedReader around a file, not two: each piece is made anew
// from what is inside.
func (w *response) ReadFrom(src io.Reader) (total int64, err error) {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	limited, ok := src.(*io.LimitedReader)
	if !ok {
		limited = &io.LimitedReader{R: src, N: math.MaxInt64}
	}
	for limited.N > 0 {
		part := &io.LimitedReader{R: limited.R, N: min(limited.N, piece)}
		want := part.N
		w.extend()
		n, err := io.Copy(w.ResponseWriter, part)
		limited.N -= n
		w.bytes += n
		total += n
		if err != nil || n < want {
			return total, err
		}
	}
	return total, nil
}
