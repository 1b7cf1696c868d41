package sbom

import (
	"encoding/binary"
	"fmt"
	"io"
	"slices"

	"github.com/assay-registry/assay/store"
)

// ProtocolVersion is what Worker and cmd/assay-sbom must agree on; a worker of another version refuses.
const ProtocolVersion = 3

// FrameKind says what a frame between Worker and cmd/assay-sbom carries.
type FrameKind byte

// The frames. A request goes to the worker's standard input, the others come from its standard output: views as they are
// made, the end of views, and then either one failure, or one result followed by a document for each format, in the order asked for.
const (
	FrameRequest  FrameKind = 'q' // JSON: WorkerRequest
	FrameView     FrameKind = 'v' // the layer's place (four bytes, big endian), and bytes that only the worker understands
	FrameFound    FrameKind = 'p' // after the view of a layer that is read alone: what was found in its files, to be put behind the view
	FrameScanned  FrameKind = 's' // empty: from here on cataloguers run on hostile content, and no view is believed
	FrameResult   FrameKind = 'r' // JSON: WorkerResult
	FrameDocument FrameKind = 'd' // bytes of one document
	FrameFailure  FrameKind = 'f' // JSON: WorkerFailure
)

// WorkerRequest is what the worker is told. Content of files comes by inherited descriptors, never by name: the worker opens nothing.
type WorkerRequest struct {
	Version    int              `json:"version"`
	Repository store.Name       `json:"repository"`
	Subject    store.Descriptor `json:"subject"`
	Manifest   []byte           `json:"manifest"`
	Config     []byte           `json:"config"`
	Layers     []WorkerLayer    `json:"layers"` // in the manifest's order
	Formats    []Format         `json:"formats"`
	// Index asks for the view of one layer, whose descriptor is Subject, and no document.
	Index bool `json:"index,omitempty"`
}

// WorkerLayer is one layer: inline bytes, or the number of an inherited file descriptor.
type WorkerLayer struct {
	FD     int    `json:"fd,omitempty"`
	Inline []byte `json:"inline,omitempty"`
	// View is what an earlier worker made of this very layer. WantView asks for one, should there be none that can be used.
	View     *WorkerView `json:"view,omitempty"`
	WantView bool        `json:"want_view,omitempty"`
}

// WorkerView is the stored view of a layer: inline bytes, or the number of an inherited file descriptor, and its size in bytes.
type WorkerView struct {
	FD     int    `json:"fd,omitempty"`
	Inline []byte `json:"inline,omitempty"`
	Size   int64  `json:"size"`
	// Digest is of its bytes, as far as [ViewCovered] says.
	Digest store.Digest `json:"digest"`
}

// WorkerResult announces documents.
type WorkerResult struct {
	Summary Summary  `json:"summary"`
	Formats []Format `json:"formats"`
}

// WorkerFailure is why there are none. Final failures are of the image, others of the moment.
type WorkerFailure struct {
	Reason string `json:"reason"`
	Final  bool   `json:"final"`
	// BadView says that a view was not what this worker's version once wrote: without views it may go well.
	BadView bool `json:"bad_view,omitempty"`
}

// WriteFrame writes one frame: kind, length as four bytes (big endian), payload.
func WriteFrame(w io.Writer, kind FrameKind, payload []byte) error {
	head := make([]byte, 5)
	head[0] = byte(kind)
	binary.BigEndian.PutUint32(head[1:], uint32(len(payload)))
	if _, err := w.Write(head); err != nil {
		return err
	}
	_, err := w.Write(payload)
	return err
}

// ReadFrame reads one frame of at most max bytes. The end of the stream before a frame is io.EOF.
func ReadFrame(r io.Reader, max int64) (FrameKind, []byte, error) {
	head := make([]byte, 5)
	if _, err := io.ReadFull(r, head); err != nil {
		return 0, nil, err
	}
	n := int64(binary.BigEndian.Uint32(head[1:]))
	if n > max {
		return 0, nil, fmt.Errorf("a frame of %d bytes is more than the %d that are allowed", n, max)
	}
	var payload []byte
	for step := int64(1 << 20); int64(len(payload)) < n; step *= 4 { // what does not come takes no memory
		at := len(payload)
		payload = slices.Grow(payload, int(min(n-int64(at), step)))
		payload = payload[:min(n, int64(cap(payload)))]
		if _, err := io.ReadFull(r, payload[at:]); err != nil {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return 0, nil, err
		}
	}
	return FrameKind(head[0]), payload, nil
}
