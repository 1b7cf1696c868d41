package store

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"time"
)

// ManifestRecord is what is known of (repository, digest). A pull reads the fixed part only; Detail is decoded on demand.
type ManifestRecord struct {
	Digest     Digest
	State      State
	Kind       Kind
	MediaType  string
	Size       int64     // bytes
	ValidUntil time.Time // of the verdict; zero: without end
	Seq        uint64    // the trust sequence at which it was decided
	Warn       bool      // Detail.Warnings is not empty
	detail     []byte
}

// Detail is the part of a record that is not needed to serve an admitted manifest.
type Detail struct {
	Alternate    Digest    `json:"alternate,omitempty"` // the same bytes under the other algorithm
	ArtifactType string    `json:"artifact_type,omitempty"`
	Subject      Digest    `json:"subject,omitempty"` // the manifest's own
	About        []Digest  `json:"about,omitempty"`   // of evidence: every subject under which its facts are kept
	Stood        []string  `json:"stood,omitempty"`   // of evidence: reserved tags under which it stood
	Pushers      []string  `json:"pushers,omitempty"`
	FirstSeen    time.Time `json:"first_seen"`
	Clock        time.Time `json:"clock"` // of quarantine: first seen, renewed by each push
	ChangedAt    time.Time `json:"changed_at"`
	EverAdmitted bool      `json:"ever_admitted,omitempty"`
	Missing      []Digest  `json:"missing,omitempty"`  // referenced but absent: sparse
	Registry     bool      `json:"registry,omitempty"` // written by the registry itself
	Staged       bool      `json:"staged,omitempty"`   // of a large index: it is admitted once its children were decided
	Decision     string    `json:"decision,omitempty"` // decision id
	Judged       string    `json:"judged,omitempty"`   // names what that decision was made of
	Renewed      bool      `json:"renewed,omitempty"`  // it says what the one before said, of something else
	DecidedAt    time.Time `json:"decided_at,omitzero"`
	Revision     string    `json:"revision,omitempty"` // of the evidence that the verdict was made of, its own and inherited
	Code         string    `json:"code,omitempty"`     // of the first reason
	Reason       string    `json:"reason,omitempty"`   // one sentence
	Remedy       string    `json:"remedy,omitempty"`
	Warnings     []string  `json:"warnings,omitempty"`
	Attempts     int       `json:"attempts,omitempty"` // of a pending decision
	NextAttempt  time.Time `json:"next_attempt,omitzero"`
}

// Detail decodes the cold part.
func (r *ManifestRecord) Detail() (*Detail, error) {
	var d Detail
	if p := ReadPlain(r.detail); d.read(&p) {
		return &d, nil
	}
	d = Detail{}
	if err := json.Unmarshal(r.detail, &d); err != nil {
		return nil, Errorf(CodeInternal, "the record of %s is damaged; run assay check: %w", r.Digest, err)
	}
	return &d, nil
}

// SetDetail replaces the cold part.
func (r *ManifestRecord) SetDetail(d *Detail) {
	b, err := json.Marshal(d)
	if err != nil {
		panic(fmt.Sprintf("store: a detail that does not marshal: %v", err)) // it holds strings, numbers and times of this century
	}
	r.detail, r.Warn = b, len(d.Warnings) > 0
}

const (
	recordVersion = 1
	recordFixed   = 1 + 1 + 1 + 1 + 8 + 8 + 8 + 2
	flagWarn      = 1
)

// layout: version, state, kind, flags, valid until (Unix nanoseconds, 0 none), seq, size, length of media type, media type, detail JSON.
func (r *ManifestRecord) encode() []byte {
	b := make([]byte, recordFixed, recordFixed+len(r.MediaType)+len(r.detail))
	b[0], b[1], b[2] = recordVersion, code(stateCodes[:], r.State), code(kindCodes[:], r.Kind)
	if r.Warn {
		b[3] |= flagWarn
	}
	if !r.ValidUntil.IsZero() {
		binary.BigEndian.PutUint64(b[4:], uint64(r.ValidUntil.UnixNano()))
	}
	binary.BigEndian.PutUint64(b[12:], r.Seq)
	binary.BigEndian.PutUint64(b[20:], uint64(r.Size))
	binary.BigEndian.PutUint16(b[28:], uint16(len(r.MediaType)))
	b = append(b, r.MediaType...)
	return append(b, r.detail...)
}

func decodeRecord(d Digest, b []byte) (*ManifestRecord, error) {
	if len(b) < recordFixed || b[0] != recordVersion {
		return nil, Errorf(CodeInternal, "the record of %s is damaged; run assay check", d)
	}
	n := int(binary.BigEndian.Uint16(b[28:]))
	if len(b) < recordFixed+n {
		return nil, Errorf(CodeInternal, "the record of %s is damaged; run assay check", d)
	}
	r := &ManifestRecord{
		Digest: d, State: decode(stateCodes[:], b[1]), Kind: decode(kindCodes[:], b[2]), Warn: b[3]&flagWarn != 0,
		Seq: binary.BigEndian.Uint64(b[12:]), Size: int64(binary.BigEndian.Uint64(b[20:])),
		MediaType: mediaType(b[recordFixed : recordFixed+n]),
		detail:    append([]byte(nil), b[recordFixed+n:]...),
	}
	if t := int64(binary.BigEndian.Uint64(b[4:])); t != 0 {
		r.ValidUntil = time.Unix(0, t).UTC()
	}
	return r, nil
}

// Verdict is the part of a record that a pull of a blob tests.
type Verdict struct {
	State      State
	ValidUntil time.Time
	Seq        uint64
}

func decodeVerdict(b []byte) Verdict {
	if len(b) < recordFixed || b[0] != recordVersion {
		return Verdict{}
	}
	v := Verdict{State: decode(stateCodes[:], b[1]), Seq: binary.BigEndian.Uint64(b[12:])}
	if t := int64(binary.BigEndian.Uint64(b[4:])); t != 0 {
		v.ValidUntil = time.Unix(0, t)
	}
	return v
}

// Verdict is the part of the record that a pull of a blob tests.
func (r *ManifestRecord) Verdict() Verdict { return Verdict{r.State, r.ValidUntil, r.Seq} }

// mediaType avoids an allocation for the common ones.
func mediaType(b []byte) string {
	switch string(b) {
	case TypeImage:
		return TypeImage
	case TypeIndex:
		return TypeIndex
	case TypeDockerImage:
		return TypeDockerImage
	case TypeDockerList:
		return TypeDockerList
	}
	return string(b)
}

// Descriptor of the manifest.
func (r *ManifestRecord) Descriptor() Descriptor {
	return Descriptor{MediaType: r.MediaType, Digest: r.Digest, Size: r.Size}
}

// BlobRecord is a blob's link into a repository.
type BlobRecord struct {
	Size     int64     `json:"size"`
	LinkedAt time.Time `json:"at"`
	Short    bool      `json:"short,omitempty"` // linked by a signer: collected after an hour if nothing references it
}

// TagRecord is a tag: what was pushed last, and what pullers get.
type TagRecord struct {
	Current   Digest    `json:"current"`
	Visible   Digest    `json:"visible,omitempty"`
	CurrentAt time.Time `json:"current_at"`
	VisibleAt time.Time `json:"visible_at,omitzero"`
	Reason    string    `json:"reason,omitempty"` // why the tag entry point keeps visible where it is
	Code      string    `json:"code,omitempty"`
	Denied    bool      `json:"denied,omitempty"` // the tag entry point no longer allows the visible digest
}
